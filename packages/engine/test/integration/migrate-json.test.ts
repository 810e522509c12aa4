import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { dryRun } from '../../src/migrations/dry-run.ts';
import { migrate } from '../../src/migrations/migrate.ts';
import { readStatus } from '../../src/migrations/status.ts';
import { migration } from '../contract/migrations.ts';
import { emptyDatabase } from '../embedded-database.ts';

function complaints(name: string, value: unknown) {
  const url = new URL(`../../../../schema/json/${name}.schema.json`, import.meta.url);
  const validate = new Ajv2020({ strict: true, allowUnionTypes: true, strictRequired: false }).compile(
    JSON.parse(readFileSync(url, 'utf8')),
  );
  validate(JSON.parse(JSON.stringify(value)));
  return validate.errors ?? [];
}

test('the JSON schemas describe what migrate, its dry run and its status answer', async () => {
  const { session, close } = await emptyDatabase();
  const options = { engineVersion: '1', actor: 'alice@desk' };
  const files = [
    migration('0001_a', '-- description: first\nCREATE TABLE a (id int);'),
    migration('0002_b', 'INSERT INTO a VALUES (1);\nALTER TABLE a ADD b int;'),
    migration('0003_c', '-- transaction: none\nSELECT 1;\nSELECT 1/0;'),
  ];
  try {
    const dry = await dryRun(session, files, options);
    expect(complaints('migrate', { applied: [], migrations: [], dryRun: dry })).toEqual([]);
    const applied = await migrate(session, files.slice(0, 2), options);
    expect(complaints('migrate', { applied: applied.map(({ id }) => id), migrations: applied })).toEqual([]);
    await expect(migrate(session, files, options)).rejects.toMatchObject({ code: 'MIGRATION_FAILED' });
    await migrate(
      session,
      [
        migration('0001_a', 'SELECT 2;'),
        ...files.slice(1, 2),
        migration('0003_c', '-- transaction: none\nSELECT 1;'),
      ],
      {
        ...options,
        acceptDrift: ['0001_a'],
      },
    );
    const status = await readStatus(session, [...files.slice(0, 2), migration('0000_x', 'SELECT 9;')]);
    expect(status.problems.length).toBeGreaterThan(1);
    expect(complaints('migrate-status', status)).toEqual([]);
    expect(complaints('migrate-status', { ...status, head: 1 })).not.toEqual([]);
  } finally {
    await close();
  }
});
