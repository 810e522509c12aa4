import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { MigrationSession } from '../../src/database/session.ts';
import { dryRun } from '../../src/migrations/dry-run.ts';
import { type Migration, readMigrations, toMigration } from '../../src/migrations/files.ts';
import { readLedger } from '../../src/migrations/ledger.ts';
import { type MigrateOptions, migrate } from '../../src/migrations/migrate.ts';
import { readStatus } from '../../src/migrations/status.ts';
import { OperatorError } from '../../src/model/errors.ts';

/** An empty database; `close` also removes it. */
export interface EmptyDatabase {
  session: MigrationSession;
  close(): Promise<void>;
}

export const migration = (id: string, sql: string, verify: string | null = null): Migration =>
  toMigration(id, sql, verify);

/** `0001_a` creates table a, `0002_b` table b, … */
export const tables = (...names: string[]): Migration[] =>
  names.map((name, index) => migration(`000${index + 1}_${name}`, `CREATE TABLE ${name} (id int);\n`));

export const tablesOf = async (session: MigrationSession): Promise<string[]> => {
  const rows = await session.query<{ name: string }>(
    "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
  );
  return rows.map(({ name }) => name);
};

/** The error that must come. */
export async function failureOf(promise: Promise<unknown>): Promise<OperatorError> {
  const result = await promise.then(
    (value) => value,
    (error: unknown) => error,
  );
  expect(result).toBeInstanceOf(OperatorError);
  return result as OperatorError;
}

/** What migrations do on any PostgreSQL that the platform runs on: the embedded one and the image's. */
export function migrationContract(name: string, open: () => Promise<EmptyDatabase>): void {
  let database: EmptyDatabase;
  const run = async (migrations: Migration[], options: Partial<MigrateOptions> = {}) =>
    (await migrate(database.session, migrations, { engineVersion: '1.2.3', ...options })).map(({ id }) => id);
  const ids = async () => (await readLedger(database.session)).map(({ id }) => id);

  describe(`migrate, on ${name}`, () => {
    beforeEach(async () => {
      database = await open();
    });
    afterEach(() => database.close());

    test("applies the platform's own migrations, and a second run applies none", async () => {
      const migrations = await readMigrations();
      expect(await run(migrations)).toEqual(migrations.map(({ id }) => id));
      expect(await run(migrations)).toEqual([]);
      const ledger = await readLedger(database.session);
      expect(
        ledger.map(({ id, checksum, kind, engine_version }) => ({ id, checksum, kind, engine_version })),
      ).toEqual(
        migrations.map(({ id, checksum, kind }) => ({ id, checksum, kind, engine_version: '1.2.3' })),
      );
      const [graph] = await database.session.query<{ name: string }>(
        'SELECT name::text FROM ag_catalog.ag_graph',
      );
      expect(graph).toEqual({ name: 'knowledge' });
    });

    test('the ledger keeps text, description, who and how', async () => {
      const text =
        "-- kind: expand\n-- description: The first table\nCREATE TABLE first (a text DEFAULT 'it''s \\ $$');\n";
      await run([migration('0001_first', text)], { actor: 'alice@desk' });
      const [row] = await readLedger(database.session);
      expect(row).toMatchObject({
        state: 'applied',
        kind: 'expand',
        transaction_mode: 'whole',
        description: 'The first table',
        applied_by: 'alice@desk',
      });
      expect(row?.applied_role).toBeTruthy();
      const [kept] = await database.session.query<{ content: string }>(
        'SELECT content FROM kg_operator.schema_migrations',
      );
      expect(kept?.content).toBe(text);
    });

    test('a ledger of version 0.1.0 is understood as it is, and grows with the next migration', async () => {
      const old = migration('0001_old', 'CREATE TABLE old (id int);  \n\n');
      await database.session.query(`CREATE SCHEMA kg_operator`);
      await database.session.query(`CREATE TABLE kg_operator.schema_migrations (
        id text PRIMARY KEY, checksum text NOT NULL, kind text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(),
        duration_ms integer NOT NULL, engine_version text NOT NULL)`);
      await database.session.query(
        `INSERT INTO kg_operator.schema_migrations VALUES ('0001_old', $1, 'expand', now(), 1, '0.1.0')`,
        [old.checksumOfWhole],
      );
      expect(old.checksum).not.toBe(old.checksumOfWhole);
      expect(await run([old])).toEqual([]);
      expect((await readStatus(database.session, [old])).problems).toEqual([]);
      expect((await readLedger(database.session))[0]).toMatchObject({ state: 'applied', applied_by: null });
      expect(await run([old, migration('0002_new', 'CREATE TABLE new (id int);')])).toEqual(['0002_new']);
      expect(await readLedger(database.session)).toMatchObject([
        { id: '0001_old', applied_by: null, applied_role: null, state: 'applied' },
        { id: '0002_new', transaction_mode: 'whole' },
      ]);
    });

    test('what a file leaves in its session does not reach the next one', async () => {
      const role = `left_${process.pid}`;
      const files = [
        migration(
          '0001_leaves',
          `CREATE ROLE ${role}; CREATE SCHEMA other; SET search_path = other; CREATE TEMP TABLE left_over (id int);
           PREPARE p AS SELECT 1; SET ROLE ${role}; SELECT set_config('work_mem', '77MB', false);`,
        ),
        migration(
          '0002_looks',
          `CREATE TABLE seen AS SELECT current_setting('search_path') AS path, current_setting('work_mem') AS mem, current_user = session_user AS own,
             to_regclass('left_over') IS NULL AS clean, (SELECT count(*) FROM pg_prepared_statements WHERE name = 'p') AS prepared;`,
        ),
      ];
      try {
        await run(files);
        const [seen] = await database.session.query('SELECT * FROM public.seen');
        expect(seen).toMatchObject({
          own: true,
          clean: true,
          prepared: '0',
          mem: expect.not.stringMatching('77MB'),
        });
        expect((seen as { path: string }).path).toMatch(/public/);
      } finally {
        await database.session.query(`DROP ROLE IF EXISTS ${role}`);
      }
    });
  });

  describe(`a failing migration, on ${name}`, () => {
    beforeEach(async () => {
      database = await open();
    });
    afterEach(() => database.close());

    test('leaves nothing of itself, keeps what came before, and names file, line and column', async () => {
      const text =
        "-- kind: expand\nCREATE TABLE second (id int);\nINSERT INTO /* 𝔘 ü */ nowhere VALUES ('😀');\n";
      const failure = await failureOf(
        run([migration('0001_good', 'CREATE TABLE first (id int);'), migration('0002_bad', text)]),
      );
      expect(failure).toMatchObject({ code: 'MIGRATION_FAILED', exitCode: 8 });
      expect(failure.message).toBe('schema/migrations/0002_bad.sql:3:23: relation "nowhere" does not exist');
      expect(failure.details.slice(0, 2)).toEqual([
        "3 | INSERT INTO /* 𝔘 ü */ nowhere VALUES ('😀');",
        `${' '.repeat(4 + 22)}^`,
      ]);
      expect(failure.details).toContain("statement: INSERT INTO /* 𝔘 ü */ nowhere VALUES ('😀')");
      expect(failure.details).toContain('SQLSTATE: 42P01');
      expect(failure.hint).toContain('nothing of this file was applied');
      expect(await ids()).toEqual(['0001_good']);
      expect(await tablesOf(database.session)).toEqual(['first']);
    });

    test('an error that PostgreSQL gives no position for: the statement, detail and constraint', async () => {
      const text =
        'CREATE TABLE t (id int PRIMARY KEY);\nINSERT INTO t VALUES (1);\n\n  INSERT INTO t VALUES (1);\nSELECT 1;\n';
      const failure = await failureOf(run([migration('0001_twice', text)]));
      expect(failure.message).toMatch(/^schema\/migrations\/0001_twice\.sql:4:3: duplicate key/);
      expect(failure.details).toEqual(
        expect.arrayContaining([
          'statement: INSERT INTO t VALUES (1)',
          'detail: Key (id)=(1) already exists.',
          'constraint: t_pkey',
        ]),
      );
    });

    test('in a function: the context; at COMMIT: no line, and nothing is left', async () => {
      const context = await failureOf(
        run([migration('0001_do', "DO $$ BEGIN\n  RAISE EXCEPTION 'no' USING HINT = 'try yes';\nEND $$;")]),
      );
      expect(context.details).toEqual(
        expect.arrayContaining([expect.stringMatching(/^context: .*line 2/), 'hint: try yes']),
      );
      const deferred = await failureOf(
        run([
          migration(
            '0001_deferred',
            'CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int REFERENCES p DEFERRABLE INITIALLY DEFERRED); INSERT INTO c VALUES (1);',
          ),
        ]),
      );
      expect(deferred.message).toMatch(/^schema\/migrations\/0001_deferred\.sql: .*foreign key/);
      expect(await tablesOf(database.session)).toEqual([]);
      expect(await ids()).toEqual([]);
    });

    test('after the file is mended, the rest is applied', async () => {
      const good = migration('0001_good', 'CREATE TABLE first (id int);');
      const failure = await failureOf(run([good, migration('0002_second', 'CREATE TABL second (id int);')]));
      expect(failure.message).toMatch(/0002_second\.sql:1:8: syntax error at or near "TABL"/);
      expect(await run([good, migration('0002_second', 'CREATE TABLE second (id int);')])).toEqual([
        '0002_second',
      ]);
      expect(await tablesOf(database.session)).toEqual(['first', 'second']);
    });

    test.each([
      ["SELECT 'left open", 'unterminated quoted string'],
      ['SELECT 1; /* left open', 'unterminated /* comment'],
      ['SELECT "left open', 'unterminated quoted identifier'],
      ['DO $x$ BEGIN', 'unterminated dollar-quoted string'],
    ])('what is left open in it can not swallow what the runner adds: %s', async (text, message) => {
      const failure = await failureOf(run([migration('0001_open', `CREATE TABLE t (id int);\n${text}`)]));
      expect(failure.message).toContain(message);
      expect(await tablesOf(database.session)).toEqual([]);
      expect(await ids()).toEqual([]);
    });

    test('its check returns rows: undone, and the rows are shown; no rows: applied', async () => {
      const sql = 'CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2);';
      const failure = await failureOf(
        run([migration('0001_t', sql, 'SELECT 1 WHERE false;\nSELECT id AS bad FROM t WHERE id > 1;')]),
      );
      expect(failure).toMatchObject({ code: 'MIGRATION_VERIFY', exitCode: 8, details: ['{"bad":2}'] });
      expect(failure.message).toBe('schema/migrations/0001_t.verify.sql:2: the check returned 1 row');
      expect(await tablesOf(database.session)).toEqual([]);
      expect(await run([migration('0001_t', sql, 'SELECT id FROM t WHERE id > 2;')])).toEqual(['0001_t']);
    });

    test('a check only reads', async () => {
      const refused = await failureOf(run([migration('0001_t', 'SELECT 1;', 'DELETE FROM t;')]));
      expect(refused).toMatchObject({ code: 'MIGRATION_VERIFY', exitCode: 8 });
      const writes = await failureOf(
        run([
          migration(
            '0001_t',
            'CREATE TABLE t (id int); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ INSERT INTO t VALUES (1) RETURNING 1 $$;',
            'SELECT f();',
          ),
        ]),
      );
      expect(writes.message).toContain('read-only transaction');
      expect(await tablesOf(database.session)).toEqual([]);
    });
  });

  describe(`folder and database do not fit, on ${name}`, () => {
    beforeEach(async () => {
      database = await open();
    });
    afterEach(() => database.close());

    test('a newer engine migrated it: refused, nothing is touched', async () => {
      await run(tables('a', 'b'));
      const failure = await failureOf(run(tables('a')));
      expect(failure).toMatchObject({
        code: 'SCHEMA_NEWER',
        exitCode: 8,
        message: expect.stringContaining('0002_b'),
        hint: expect.stringContaining('newer'),
      });
    });

    test('an applied file has changed: the diff is shown, nothing is applied', async () => {
      await run([migration('0001_a', 'SELECT 1;\nSELECT 2;\n')]);
      const changed = [
        migration('0001_a', 'SELECT 1;\nSELECT 3;\n'),
        migration('0002_b', 'CREATE TABLE b ();'),
      ];
      const failure = await failureOf(run(changed));
      expect(failure).toMatchObject({
        code: 'MIGRATION_CHANGED',
        exitCode: 8,
        message: expect.stringContaining('0001_a.sql'),
        hint: expect.stringContaining('--accept-drift 0001_a'),
      });
      expect(failure.details).toEqual(expect.arrayContaining([' SELECT 1;', '-SELECT 2;', '+SELECT 3;']));
      expect(await tablesOf(database.session)).toEqual([]);
    });

    test('line endings, a byte order mark and blanks at the ends of lines are no change', async () => {
      await run([migration('0001_a', 'SELECT 1;\nSELECT 2;\n')]);
      expect(await run([migration('0001_a', '\uFEFFSELECT 1; \t\r\nSELECT 2;\r\n\r\n')])).toEqual([]);
      await failureOf(run([migration('0001_a', 'SELECT 1;\n SELECT 2;\n')]));
    });

    test('drift is accepted explicitly, recorded, and then quiet', async () => {
      const before = migration('0001_a', 'SELECT 1;');
      const after = migration('0001_a', 'SELECT 2;');
      await run([before]);
      expect(await run([after], { acceptDrift: ['0001_a'], actor: 'bob@desk' })).toEqual([]);
      expect(await run([after])).toEqual([]);
      const [row] = await readLedger(database.session);
      expect(row).toMatchObject({
        checksum: after.checksum,
        decisions: [
          { action: 'accept-drift', by: 'bob@desk', checksum: before.checksum, content: 'SELECT 1;' },
        ],
      });
      expect(Date.parse(row?.decisions?.[0]?.at ?? '')).toBeGreaterThan(0);
      expect(await failureOf(run([after], { acceptDrift: ['0001_a'] }))).toMatchObject({
        code: 'MIGRATION_NO_DRIFT',
        exitCode: 2,
      });
    });

    test('renamed, missing, out of order, another folder: each with its fix, nothing is applied', async () => {
      const [a, b, c] = tables('a', 'b', 'c') as [Migration, Migration, Migration];
      await run([a, b]);
      const cases: [string, Migration[], string][] = [
        ['MIGRATION_RENAMED', [a, migration('0003_b', b.sql)], '0003_b.sql to 0002_b.sql'],
        ['MIGRATION_MISSING', [b, c], 'put the files back'],
        ['MIGRATION_OUT_OF_ORDER', [a, migration('0002_0', 'SELECT 1;'), b].slice(0, 3), 'above 0002'],
        [
          'MIGRATION_DIRECTORY',
          [migration('0001_x', 'SELECT 1;'), migration('0002_y', 'SELECT 2;')],
          '--dir',
        ],
      ];
      for (const [code, files, hint] of cases) {
        const failure = await failureOf(run(files));
        expect([failure.code, failure.exitCode]).toEqual([code, 8]);
        expect(failure.hint).toContain(hint);
      }
      expect(await tablesOf(database.session)).toEqual(['a', 'b']);
      const status = await readStatus(database.session, [b, c]);
      expect(status).toMatchObject({ head: '0002_b', applied: 2, pending: ['0003_c'] });
      expect(status.problems).toMatchObject([{ code: 'MIGRATION_MISSING', ids: ['0001_a'] }]);
      expect(status.migrations.map(({ id, state, hasFile }) => [id, state, hasFile])).toEqual([
        ['0001_a', 'applied', false],
        ['0002_b', 'applied', true],
        ['0003_c', 'pending', true],
      ]);
    });
  });

  describe(`transactions of files, on ${name}`, () => {
    beforeEach(async () => {
      database = await open();
    });
    afterEach(() => database.close());

    test.each([
      'COMMIT',
      'ROLLBACK',
      'BEGIN',
      'START TRANSACTION',
      'END',
      'ABORT',
      "PREPARE TRANSACTION 'x'",
    ])('%s in a file is refused with its line before any file runs', async (statement) => {
      const file = migration(
        '0002_own',
        `SELECT 1; -- ;\n/* ; */ ${statement};\nCREATE TABLE second (id int);`,
      );
      const failure = await failureOf(run([migration('0001_a', 'CREATE TABLE first (id int);'), file]));
      expect(failure).toMatchObject({
        code: 'MIGRATION_TRANSACTION',
        exitCode: 8,
        hint: expect.stringContaining('transaction: own'),
      });
      expect(failure.message).toContain(`0002_own.sql:2:9: ${statement.split(' ')[0]}`);
      expect(await tablesOf(database.session)).toEqual([]);
    });

    test('savepoints, and the words in bodies, texts and comments, are fine', async () => {
      const sql = `SAVEPOINT s; CREATE TABLE t (id int); RELEASE s; -- COMMIT;\n/* BEGIN; */ INSERT INTO t SELECT 1 WHERE 'COMMIT;' = ';ROLLBACK;';
        CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN
          -- COMMIT
          RETURN 1; END; $f$;`;
      expect(await run([migration('0001_fine', sql)])).toEqual(['0001_fine']);
    });

    test('transaction: own: blocks and single statements, in order, each recorded', async () => {
      const sql =
        '-- transaction: own\nBEGIN;\nCREATE TABLE a (id int);\nCOMMIT;\nCREATE INDEX CONCURRENTLY a_id ON a (id);\nBEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO a VALUES (1); COMMIT;\nVACUUM a;';
      expect(await run([migration('0001_own', sql)])).toEqual(['0001_own']);
      expect((await readLedger(database.session))[0]).toMatchObject({
        state: 'applied',
        transaction_mode: 'own',
        units_done: 4,
        unit_started: null,
      });
    });

    test.each([
      ['-- transaction: none\nBEGIN;\nSELECT 1;\nCOMMIT;', 'MIGRATION_TRANSACTION', '2:1'],
      ['-- transaction: own\nBEGIN;\nSELECT 1;\nROLLBACK;', 'MIGRATION_TRANSACTION', '4:1'],
      ['-- transaction: own\nBEGIN;\nSELECT 1;', 'MIGRATION_TRANSACTION', '2:1'],
      ['-- transaction: own\nSELECT 1;\nCOMMIT;', 'MIGRATION_TRANSACTION', '3:1'],
      ['-- transaction: none\nCREATE INDEX CONCURRENTLY ON t (id);', 'MIGRATION_UNIT', '2:1'],
      ['-- transaction: none\nSET ROLE somebody;', 'MIGRATION_UNIT', '2:1'],
      ['-- transaction: none\nCREATE TABL t;', 'MIGRATION_SYNTAX', '2:8'],
      ['\\connect other\nSELECT 1;', 'MIGRATION_SYNTAX', '1:1'],
      ['COPY t FROM stdin;\n1\n\\.\n', 'MIGRATION_SYNTAX', '1:1'],
    ])(
      'what can not be resumed, or is no SQL, is refused before anything runs: %j',
      async (sql, code, place) => {
        const failure = await failureOf(run([...tables('a'), migration('0002_bad', sql)]));
        expect([failure.code, failure.exitCode]).toEqual([code, 8]);
        expect(failure.message).toContain(`0002_bad.sql:${place}: `);
        expect(failure.hint).toBeTruthy();
        expect(await tablesOf(database.session)).toEqual([]);
      },
    );

    test('outside a transaction, a failure keeps what was done; the rest can be mended, what is done can not', async () => {
      const text = (third: string, first = 'CREATE TABLE a (id int)') =>
        migration(
          '0001_steps',
          `-- transaction: none\n${first};\nSET work_mem = '77MB';\nINSERT INTO a ${third};\nCREATE TABLE b AS SELECT current_setting('work_mem') AS mem;`,
        );
      const failure = await failureOf(run([text('VALUES (1/0)')]));
      expect(failure.message).toMatch(/0001_steps\.sql:4:\d+: division by zero/);
      expect(failure.hint).toContain('2 of 4 parts');
      const status = await readStatus(database.session, [text('VALUES (1)')]);
      expect(status).toMatchObject({ pending: ['0001_steps'], applied: 0 });
      expect(status.migrations).toMatchObject([{ state: 'running', partsDone: 2 }]);

      const changed = await failureOf(run([text('VALUES (1)', 'CREATE TABLE a (id bigint)')]));
      expect(changed).toMatchObject({ code: 'MIGRATION_CHANGED', exitCode: 8 });
      expect(await failureOf(run([migration('0001_steps', 'CREATE TABLE a (id int);')]))).toMatchObject({
        code: 'MIGRATION_CHANGED',
      });

      expect(await run([text('VALUES (1)')])).toEqual(['0001_steps']);
      expect(await database.session.query('SELECT * FROM a')).toEqual([{ id: 1 }]);
      expect(await database.session.query('SELECT * FROM b')).toEqual([{ mem: '77MB' }]);
      expect(await run([text('VALUES (1)')])).toEqual([]);
    });

    test('a statement that refuses a transaction: the header that helps is named', async () => {
      const failure = await failureOf(run([migration('0001_vacuum', 'VACUUM;')]));
      expect(failure.hint).toContain('-- transaction: none');
    });
  });

  describe(`a dry run, on ${name}`, () => {
    beforeEach(async () => {
      database = await open();
    });
    afterEach(() => database.close());

    test('reports rows and locks, says what it skipped, and leaves nothing', async () => {
      const first = migration('0001_a', 'CREATE TABLE a (id int); INSERT INTO a VALUES (1), (2);');
      await run([first]);
      const before = await readLedger(database.session);
      const reports = await dryRun(
        database.session,
        [
          first,
          migration('0002_b', 'ALTER TABLE a ADD b int;\nUPDATE a SET b = 1;\nCREATE TABLE b (id int);'),
          migration('0003_c', '-- transaction: none\nVACUUM a;'),
        ],
        { engineVersion: '1.2.3' },
      );
      expect(reports).toMatchObject([
        {
          id: '0002_b',
          skipped: null,
          statements: [{ line: 1 }, { line: 2, command: 'UPDATE', rows: 2 }, { line: 3 }],
          tables: [{ table: 'public.a', inserted: 0, updated: 2, deleted: 0 }],
        },
        { id: '0003_c', skipped: 'it runs outside a transaction', statements: [] },
      ]);
      expect(reports[0]?.locks).toContainEqual({ relation: 'public.a', mode: 'AccessExclusiveLock' });
      expect(await tablesOf(database.session)).toEqual(['a']);
      expect(await readLedger(database.session)).toEqual(before);
    });

    test('of a database that was never migrated makes no ledger; a failure is reported as migrate would', async () => {
      expect(await dryRun(database.session, tables('a'), { engineVersion: '1' })).toHaveLength(1);
      const failure = await failureOf(
        dryRun(database.session, [migration('0001_a', 'SELECT 1;\nSELECT nothing;')], { engineVersion: '1' }),
      );
      expect(failure.message).toMatch(/0001_a\.sql:2:8: column "nothing"/);
      expect(await database.session.query("SELECT to_regnamespace('kg_operator') AS ledger")).toEqual([
        { ledger: null },
      ]);
    });
  });
}
