import { readdirSync } from 'node:fs';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { readMigrations } from '../../src/migrations/files.ts';
import { migrate } from '../../src/migrations/migrate.ts';
import { type EmptyDatabase, failureOf, tablesOf } from './migrations.ts';

const FOLDER = join(import.meta.dirname, '../messy-sql');

/** Each file's reason: code, place and words. */
const REFUSED: Record<string, [code: string, message: RegExp]> = {
  '0001_own_begin': ['MIGRATION_TRANSACTION', /:1:1: BEGIN here, but the runner owns the transaction/],
  '0002_commit_after_function': ['MIGRATION_TRANSACTION', /:3:3: COMMIT here/],
  '0003_hidden_commit': ['MIGRATION_TRANSACTION', /:2:4: COMMIT here/],
  '0004_connect': ['MIGRATION_SYNTAX', /:2:1: \\connect is a psql meta-command/],
  '0005_restrict': ['MIGRATION_SYNTAX', /:5:1: \\restrict is a psql meta-command/],
  '0006_copy_stdin': ['MIGRATION_SYNTAX', /:2:1: COPY … FROM stdin/],
  '0007_psql_variable': ['MIGRATION_FAILED', /:2:23: :id is a psql variable/],
  '0008_include': ['MIGRATION_SYNTAX', /:1:1: \\i is a psql meta-command/],
  '0009_left_open': ['MIGRATION_FAILED', /:1:3\d: (?:syntax error|unterminated)/],
  '0010_left_open_dollar': ['MIGRATION_FAILED', /:1:\d+: unterminated dollar-quoted string/],
  '0011_mysql': ['MIGRATION_FAILED', /:1:14: syntax error at or near "`"/],
  '0012_delimiter': ['MIGRATION_FAILED', /:1:1: syntax error at or near "DELIMITER"/],
  '0013_vacuum': ['MIGRATION_FAILED', /:2:1: VACUUM cannot (?:run|be executed) inside a transaction block/],
  '0014_rollback_at_end': ['MIGRATION_TRANSACTION', /:2:1: ROLLBACK here/],
  '0015_prepare_transaction': ['MIGRATION_TRANSACTION', /:2:1: PREPARE here/],
  '0016_commit_in_procedure': ['MIGRATION_FAILED', /:2:1: invalid transaction termination/],
  '0017_header': ['MIGRATION_INVALID', /:1: "kind" must be expand or contract/],
  '0018_header_misspelt': ['MIGRATION_INVALID', /:2: "transactoin" is no key .* "transaction"/],
  '0019_latin1': ['MIGRATION_INVALID', /it is not UTF-8/],
  '0020_nul': ['MIGRATION_INVALID', /there is a NUL byte in it/],
};

/** SQL as people have it: applied as it is, or refused with the exact reason. */
export function messySqlContract(name: string, open: () => Promise<EmptyDatabase>): void {
  describe(`messy SQL, on ${name}`, () => {
    let database: EmptyDatabase;
    beforeEach(async () => {
      database = await open();
    });
    afterEach(() => database.close());

    test('a whole folder of it is applied unchanged', async () => {
      const migrations = await readMigrations(join(FOLDER, 'applies'));
      expect(migrations).toHaveLength(30);
      const applied = await migrate(database.session, migrations, { engineVersion: '1' });
      expect(applied.map(({ id }) => id)).toEqual(migrations.map(({ id }) => id));
      expect(await migrate(database.session, migrations, { engineVersion: '1' })).toEqual([]);
      const { session } = database;
      const names = await session.query<{ name: string }>("SELECT name FROM app.users WHERE name ~ ';|\\n'");
      expect(names.map(({ name }) => name).sort()).toEqual(
        [
          'back\\slash;',
          "\\';--",
          "it's; a $dollar$ text",
          'BEGIN; COMMIT; -- not a comment',
          'atomic; again',
          "line one\nline two; 'quoted';",
          'in its own; block',
        ].sort(),
      );
      expect(await session.query('SELECT style LIKE $1 AS german, zone FROM app.zones', ['German%'])).toEqual(
        [{ german: false, zone: expect.not.stringMatching('Tokyo') }],
      );
      expect(await tablesOf(session)).toEqual(['unqualified_again', 'where_am_i']);
      expect(await session.query('SELECT id FROM app.with_bom ORDER BY id')).toEqual([
        { id: 1 },
        { id: 2 },
        { id: 3 },
      ]);
      const [people] = await session.query<{ people: string }>(
        'SELECT count(*) AS people FROM messy_graph."Person"',
      );
      expect(people).toEqual({ people: '2' });
    });

    test.each(readdirSync(join(FOLDER, 'refused')).map((file) => file.replace('.sql', '')))(
      'refused with the reason, and nothing is left: %s',
      async (id) => {
        const [code, message] = REFUSED[id] as [string, RegExp];
        const alone = await mkdtemp(join(tmpdir(), 'kg-messy-'));
        await copyFile(join(FOLDER, 'refused', `${id}.sql`), join(alone, `${id}.sql`));
        const failure = await failureOf(
          readMigrations(alone).then((migrations) =>
            migrate(database.session, migrations, { engineVersion: '1' }),
          ),
        );
        await rm(alone, { recursive: true });
        expect([failure.code, failure.exitCode]).toEqual([code, 8]);
        expect(failure.message).toMatch(message);
        expect(await tablesOf(database.session)).toEqual([]);
      },
    );
  });
}
