import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { lint } from '../../src/lint/lint.ts';
import { readMigrations } from '../../src/migrations/files.ts';
import { newMigration } from '../../src/migrations/new.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kg-new-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('a folder that is not there is made, and begins with six digits', async () => {
  const path = await newMigration(join(folder, 'db/migrations'), 'Add invoices!', 'expand');
  expect(path).toBe(join(folder, 'db/migrations/000001_add_invoices.sql'));
});

test('the next number is as wide as the last one, and grows when it must', async () => {
  const name = async (last: string) => {
    const place = join(folder, last);
    await mkdir(place);
    await writeFile(join(place, `${last}_x.sql`), '-- kind: expand\n');
    await writeFile(join(place, `${last}_x.verify.sql`), 'SELECT 1 WHERE false;\n');
    return (await newMigration(place, 'next', 'expand')).slice(place.length + 1);
  };
  expect(await name('0009')).toBe('0010_next.sql');
  expect(await name('9999')).toBe('10000_next.sql');
  expect(await name('20260101120000')).toBe('20260101120001_next.sql');
});

test('what it writes is read as it says, and has nothing to find', async () => {
  await newMigration(folder, 'drop old things', 'contract');
  expect(await readMigrations(folder)).toMatchObject([
    { id: '000001_drop_old_things', kind: 'contract', transaction: 'whole', description: 'drop old things' },
  ]);
  const sql = await readFile(join(folder, '000001_drop_old_things.sql'), 'utf8');
  expect((await lint([{ name: 'x.sql', sql }])).findings).toEqual([]);
});

test('two at once never write one file', async () => {
  const made = await Promise.allSettled(
    Array.from({ length: 8 }, () => newMigration(folder, 'same', 'expand')),
  );
  const paths = made.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  expect(new Set(paths).size).toBe(paths.length);
  for (const result of made)
    if (result.status === 'rejected')
      expect(result.reason).toMatchObject({ code: 'MIGRATION_NAME', exitCode: 8 });
  expect(await readdir(folder)).toHaveLength(paths.length);
});

test('words without a letter are refused, and nothing is made', async () => {
  await expect(newMigration(folder, '../..', 'expand')).rejects.toMatchObject({
    code: 'MIGRATION_NAME',
    exitCode: 2,
  });
  expect(await readdir(folder)).toEqual([]);
});
