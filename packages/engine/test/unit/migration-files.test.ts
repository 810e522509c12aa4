import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { readMigrations, toMigration } from '../../src/migrations/files.ts';
import { parseDuration, parseHeader } from '../../src/migrations/header.ts';
import { findHistoryProblems } from '../../src/migrations/history.ts';
import { literal } from '../../src/migrations/ledger.ts';
import { parseStatements } from '../../src/migrations/statements.ts';
import { toUnits } from '../../src/migrations/units.ts';

describe('the header of a migration', () => {
  test('says kind, transaction, timeouts and description; what is not ours is a comment', () => {
    const text =
      '-- kind: expand\n-- A comment: with a colon\n--transaction:none\n\n-- Timeout: 2h\n-- lock-timeout: 500ms\n-- description: It adds; things\n-- author: alice\nSELECT 1;\n-- kind: contract\n';
    expect(parseHeader(text)).toEqual({
      kind: 'expand',
      kindIsDeclared: true,
      transaction: 'none',
      timeoutMs: 7_200_000,
      lockTimeoutMs: 500,
      description: 'It adds; things',
    });
  });

  test('a file that says nothing is taken for the worst: contract, in one transaction', () => {
    expect(parseHeader('SELECT 1;')).toMatchObject({
      kind: 'contract',
      kindIsDeclared: false,
      transaction: 'whole',
      timeoutMs: null,
    });
  });

  test.each([
    ['-- kind: expnad', 1, '"kind" must be expand or contract'],
    ['-- kind: expand\n-- kind: contract', 2, '"kind" is given twice, first on line 1'],
    ['-- a\n-- knd: expand', 2, 'did you mean "kind"'],
    ['-- lock_timeout: 5s', 1, 'did you mean "lock-timeout"'],
    ['-- statement_timeout: 5s', 1, 'did you mean "timeout"'],
    ['-- transactional: false', 1, 'did you mean "transaction"'],
    ['-- transaction: whole', 1, '"transaction" must be none or own'],
    ['-- timeout: 30', 1, '"timeout" must be a time'],
    ['-- description:', 1, '"description" must be a text'],
  ])('%j: line %i, %s', (text, line, message) => {
    expect(() => parseHeader(text)).toThrow(
      expect.objectContaining({ line, message: expect.stringContaining(message) }),
    );
  });

  test('times are PostgreSQL’s', () => {
    expect(['0', '5ms', '5s', '5min', '5 h', '5', '', '-1s', '1d', '99999999h'].map(parseDuration)).toEqual([
      ...[0, 5, 5000, 300_000, 18_000_000],
      ...[undefined, undefined, undefined, undefined, undefined],
    ]);
  });
});

describe('a folder of migrations', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kg-files-'));
  });
  afterEach(() => rm(folder, { recursive: true }));
  const write = async (...names: string[]) => {
    for (const name of names) await writeFile(join(folder, name), 'SELECT 1;');
  };

  test('is ordered by number, whatever its digits; checks belong to their migration; the rest is no business of ours', async () => {
    await write(
      '0002_b.sql',
      '00001_a.sql',
      '20250102030405_Late-One.sql',
      '0010_c.sql',
      '0002_b.verify.sql',
      'README.md',
    );
    const migrations = await readMigrations(folder);
    expect(migrations.map(({ id, verify }) => [id, verify !== null])).toEqual([
      ['00001_a', false],
      ['0002_b', true],
      ['0010_c', false],
      ['20250102030405_Late-One', false],
    ]);
  });

  test.each([
    [['0001_a.sql', '00001_b.sql'], 'MIGRATION_DUPLICATE', 8, 'has the same number'],
    [['init.sql'], 'MIGRATION_INVALID', 8, 'init.sql: its name says no number'],
    [['0001_a.up.sql'], 'MIGRATION_INVALID', 8, '0001_a.up.sql'],
    [['001_a.sql'], 'MIGRATION_INVALID', 8, '001_a.sql'],
    [['0001_a.sql', '0002_b.verify.sql'], 'MIGRATION_INVALID', 8, 'there is no 0002_b.sql'],
    [[], 'MIGRATION_DIRECTORY', 3, 'there is no migration in'],
    [['notes.txt'], 'MIGRATION_DIRECTORY', 3, 'there is no migration in'],
  ])('%j is an error with its fix: %s', async (names, code, exitCode, message) => {
    await write(...names);
    await expect(readMigrations(folder)).rejects.toMatchObject({
      ...{ code, exitCode, message: expect.stringContaining(message) },
      hint: expect.stringMatching(/./),
    });
  });

  test('that is not there is an error, never "up to date"', async () => {
    await expect(readMigrations(join(folder, 'nowhere'))).rejects.toMatchObject({
      code: 'MIGRATION_DIRECTORY',
      exitCode: 3,
      hint: expect.stringContaining('--dir'),
    });
  });
});

test('a folder whose history is whole has no problem; a half applied migration is none', () => {
  const files = ['0001_a', '0002_b', '0003_c'].map((id) => toMigration(id, `SELECT '${id}';`));
  const [a, b] = files.map(({ id, checksum }) => ({ id, checksum, state: 'applied' as const }));
  expect(findHistoryProblems(files, [])).toEqual([]);
  if (!a || !b) throw new Error('two files');
  expect(findHistoryProblems(files, [a, b])).toEqual([]);
  expect(findHistoryProblems(files, [a, { ...b, state: 'running', checksum: 'edited since' }])).toEqual([]);
  expect(findHistoryProblems(files, [b]).map(({ code }) => code)).toEqual(['MIGRATION_OUT_OF_ORDER']);
});

test('strings in SQL: quotes and backslashes', () => {
  expect([null, "it's", 'a\\b', "\\'"].map(literal)).toEqual(['NULL', "'it''s'", "E'a\\\\b'", "E'\\\\'''"]);
});

test('units: what can not be in a transaction stands alone, blocks are one unit, settings are remembered', async () => {
  const sql = `-- transaction: own
SET work_mem = '8MB';
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT 1;
SELECT 2;
COMMIT;
CREATE INDEX CONCURRENTLY i ON t (a);
DO $$ BEGIN COMMIT; END $$;
DO $$ BEGIN PERFORM 1; END $$;
VACUUM t; ANALYZE t; CALL p(); REINDEX TABLE t; ALTER TABLE t DETACH PARTITION p CONCURRENTLY;
ALTER TABLE t DETACH PARTITION q`;
  const units = toUnits(toMigration('0001_a', sql), await parseStatements(sql));
  expect(
    units.map(({ kind, text, begin, isSessionSetup }) => [kind, text.slice(0, 12), begin, isSessionSetup]),
  ).toEqual([
    ['transaction', 'SET work_mem', '', true],
    ['transaction', 'SELECT 1;\nSE', 'ISOLATION LEVEL SERIALIZABLE', false],
    ['solo', 'CREATE INDEX', '', false],
    ['solo', 'DO $$ BEGIN ', '', false],
    ['transaction', 'DO $$ BEGIN ', '', false],
    ['solo', 'VACUUM t', '', false],
    ['transaction', 'ANALYZE t', '', false],
    ['solo', 'CALL p()', '', false],
    ['solo', 'REINDEX TABL', '', false],
    ['solo', 'ALTER TABLE ', '', false],
    ['transaction', 'ALTER TABLE ', '', false],
  ]);
});
