import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { MigrationError, migrate, status } from '../../src/library.ts';
import { emptyDatabase } from '../embedded-database.ts';

test('kg-operator/migrate: a folder and a connection are all it takes', async () => {
  const database = await emptyDatabase();
  const directory = await mkdtemp(join(tmpdir(), 'kg-library-'));
  try {
    await writeFile(join(directory, '20250101120000_first.sql'), 'CREATE TABLE first (id int);');
    const { password, ...rest } = database.settings;
    const connection = { ...rest, password: password.reveal() };
    const url = `postgres://kg:${encodeURIComponent(password.reveal())}@127.0.0.1:${rest.port}/kg`;
    expect((await status({ connection: url, directory })).pending).toEqual(['20250101120000_first']);
    expect(await migrate({ connection, directory })).toMatchObject([
      { id: '20250101120000_first', kind: 'contract' },
    ]);
    expect(await migrate({ connection: url, directory })).toEqual([]);
    await rm(join(directory, '20250101120000_first.sql'));
    const failure = await migrate({ connection, directory }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(MigrationError);
    expect(failure).toMatchObject({ code: 'MIGRATION_DIRECTORY', exitCode: 3 });
  } finally {
    await rm(directory, { recursive: true });
    await database.close();
  }
});
