import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type MigrationSession, openSession } from '../../packages/engine/src/database/session.ts';
import type { Migration } from '../../packages/engine/src/migrations/files.ts';
import { readLedger } from '../../packages/engine/src/migrations/ledger.ts';
import { type MigrateOptions, migrate } from '../../packages/engine/src/migrations/migrate.ts';
import { readStatus } from '../../packages/engine/src/migrations/status.ts';
import { failureOf, migration, tables, tablesOf } from '../../packages/engine/test/contract/migrations.ts';
import { ensureImage } from './images.ts';
import { type PostgresServer, startPostgres } from './postgres.ts';
import { until } from './wait.ts';

jest.setTimeout(300_000);

let server: PostgresServer;
let database: Awaited<ReturnType<PostgresServer['createDatabase']>>;
/** Runs migrations; looks on, and is in the way. */
let [session, other]: MigrationSession[] = [];

beforeAll(async () => {
  server = await startPostgres(await ensureImage('postgres'));
});
afterAll(() => server.close());
beforeEach(async () => {
  database = await server.createDatabase();
  [session, other] = [await openSession(database.settings), await openSession(database.settings)];
  await other.query('CREATE EXTENSION age');
});
afterEach(async () => {
  await session?.close();
  await other?.close();
  await database.close();
});

const on = (where: MigrationSession | undefined) => where as MigrationSession;
const run = async (files: Migration[], options: Partial<MigrateOptions> = {}, where = session) =>
  (await migrate(on(where), files, { engineVersion: '1.2.3', ...options })).map(({ id }) => id);
const pidOf = async (where: MigrationSession | undefined) =>
  (await on(where).query<{ pid: number }>('SELECT pg_backend_pid() AS pid'))[0]?.pid as number;

/** Begins a run, and returns once its first file runs. */
async function running(files: Migration[], options: Partial<MigrateOptions> = {}) {
  const { promise: started, resolve } = Promise.withResolvers<void>();
  const done = run(files, { ...options, onStart: () => resolve() }).then(
    (ids) => ids as unknown,
    (error: unknown) => error,
  );
  await started;
  return { done };
}

describe('one runner at a time', () => {
  test('a second one waits, says for whom and since when, and then finds nothing to do', async () => {
    const files = [migration('0001_slow', 'SELECT pg_sleep(1);'), ...tables('x', 'b').slice(1)];
    const { promise: started, resolve } = Promise.withResolvers<void>();
    const first = run(files, { onStart: () => resolve() });
    await started;
    const waited: string[] = [];
    expect(await run(files, { onWait: (holder) => waited.push(holder) }, other)).toEqual([]);
    expect(await first).toEqual(['0001_slow', '0002_b']);
    expect(waited[0]).toMatch(
      /^PostgreSQL process \d+ from \S+ \(kg-operator migrate \(.+, process \d+\)\), connected since \d{4}-.* UTC$/,
    );
  });

  test('when the wait is over: MIGRATION_LOCKED, exit 5, with the holder', async () => {
    const { promise: started, resolve } = Promise.withResolvers<void>();
    const holding = run([migration('0001_slow', 'SELECT pg_sleep(2);')], { onStart: () => resolve() });
    await started;
    const failure = await failureOf(run(tables('x'), { waitMs: 300 }, other));
    expect(failure).toMatchObject({
      code: 'MIGRATION_LOCKED',
      exitCode: 5,
      hint: expect.stringContaining('--wait'),
    });
    expect(failure.message).toMatch(/^another migration is running: PostgreSQL process \d+ from /);
    await holding;
  });

  test('a waiting runner does not deadlock with CREATE INDEX CONCURRENTLY', async () => {
    const files = [
      migration('0001_t', 'CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 300000) g;'),
      migration(
        '0002_i',
        '-- transaction: none\nCREATE INDEX CONCURRENTLY t_id ON t (id);\nSELECT pg_sleep(0.5);',
      ),
    ];
    const results = await Promise.all([run(files), run(files, {}, other)]);
    expect(results.flat()).toEqual(['0001_t', '0002_i']);
    expect(
      await on(other).query('SELECT count(*)::int AS invalid FROM pg_index WHERE NOT indisvalid'),
    ).toEqual([{ invalid: 0 }]);
  });

  test('what a lost runner left running is waited for', async () => {
    // Its lock connection is gone, its work goes on: as after kill -9 of the process.
    const pid = await pidOf(session);
    const files = [migration('0001_slow', 'CREATE TABLE slow (id int); SELECT pg_sleep(1.5);')];
    const first = run(files);
    const control = await until('the runner holds its lock and works', async () => {
      const [row] = await on(other).query<{ pid: number }>(
        `SELECT l.pid FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objid = 573126100
            AND EXISTS (SELECT FROM pg_stat_activity WHERE pid = ${pid} AND query ~ 'pg_sleep')`,
      );
      return row?.pid;
    });
    await on(other).query('SELECT pg_terminate_backend($1)', [control]);
    const waited: string[] = [];
    expect(await run(files, { onWait: (holder) => waited.push(holder) }, other)).toEqual([]);
    expect(waited.join()).toContain(`what a runner that ended has left running: PostgreSQL process ${pid} `);
    expect(await first).toEqual(['0001_slow']);
  });

  test('a runner whose lock connection is lost begins no further file', async () => {
    const files = [migration('0001_slow', 'SELECT pg_sleep(1);'), ...tables('x', 'b').slice(1)];
    const { done } = await running(files);
    await on(other).query(
      `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 573126100`,
    );
    expect(await done).toMatchObject({ code: 'MIGRATION_LOCK_LOST', exitCode: 7 });
    expect((await readLedger(on(other))).map(({ id }) => id)).toEqual(['0001_slow']);
  });

  test('a runner whose connection was ended between two queries says so, and what to do', async () => {
    await on(other).query('SELECT pg_terminate_backend($1)', [await pidOf(session)]);
    const failure = await failureOf(run(tables('a')));
    expect(failure).toMatchObject({
      code: 'DATABASE_LOST',
      exitCode: 7,
      hint: expect.stringContaining('run the command again'),
    });
  });

  test('a runner whose connection dies has applied nothing of its file, and the lock is free', async () => {
    const pid = await pidOf(session);
    const { done } = await running([migration('0001_a', 'CREATE TABLE a (id int); SELECT pg_sleep(20);')]);
    await until('it sleeps', async () => {
      const rows = await on(other).query(
        `SELECT FROM pg_stat_activity WHERE pid = $1 AND query ~ 'pg_sleep'`,
        [pid],
      );
      return rows.length > 0;
    });
    await on(other).query('SELECT pg_terminate_backend($1)', [pid]);
    expect(await done).toMatchObject({ code: 'MIGRATION_FAILED', exitCode: 8 });
    expect(await tablesOf(on(other))).toEqual([]);
    expect(await run(tables('a'), {}, other)).toEqual(['0001_a']);
  });
});

describe('locks of the application', () => {
  const files = [...tables('a'), migration('0002_b', 'ALTER TABLE a ADD b int;')];

  test('tries again, and goes on when the lock is given', async () => {
    await run(tables('a'));
    await on(other).query('BEGIN; LOCK TABLE a IN ACCESS SHARE MODE;');
    let retries = 0;
    const done = run(files, {
      lockTimeoutMs: 200,
      onRetry: () => {
        retries += 1;
        if (retries === 2) void on(other).query('COMMIT');
      },
    });
    expect(await done).toEqual(['0002_b']);
    expect(retries).toBeGreaterThanOrEqual(2);
  });

  test('gives up in time, and names the process, its query and its age; exit 5', async () => {
    await run(tables('a'));
    const pid = await pidOf(other);
    await on(other).query('BEGIN; LOCK TABLE a IN ACCESS SHARE MODE;');
    const seen: number[] = [];
    const failure = await failureOf(
      run(files, {
        lockTimeoutMs: 300,
        lockRetryMs: 1500,
        onBlocked: (_, found) => seen.push(...found.map((b) => b.pid)),
      }),
    );
    expect(failure).toMatchObject({
      code: 'MIGRATION_BLOCKED',
      exitCode: 5,
      message: `schema/migrations/0002_b.sql: blocked by PostgreSQL process ${pid}`,
    });
    expect(failure.details[0]).toMatch(
      /^PostgreSQL process \d+ \(kg-operator migrate .*\), idle in transaction, in its transaction for \d+ s: BEGIN; LOCK TABLE a IN ACCESS SHARE MODE;/,
    );
    expect(seen).toContain(pid);
    await on(other).query('ROLLBACK');
    expect((await readLedger(on(other))).map(({ id }) => id)).toEqual(['0001_a']);
  });

  test('a statement that runs longer than its header allows is ended', async () => {
    const failure = await failureOf(
      run([migration('0001_long', '-- timeout: 200ms\nSELECT 1;\nSELECT pg_sleep(20);')]),
    );
    expect(failure.message).toMatch(/0001_long\.sql:3:1: .*statement timeout/);
    expect(failure.hint).toContain('-- timeout:');
  });
});

describe('outside a transaction, interrupted', () => {
  const indexed = migration(
    '0002_index',
    '-- transaction: none\nSELECT 1;\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS a_id ON a (id);\nCREATE TABLE after_index (id int);',
  );
  const first = tables('a');

  test('an index left invalid by a failure is dropped and built again', async () => {
    await run(first);
    await on(other).query('INSERT INTO a VALUES (1), (1)');
    const failure = await failureOf(run([...first, indexed]));
    expect(failure.message).toMatch(/0002_index\.sql:3:1: could not create unique index "a_id"/);
    expect(
      await on(other).query("SELECT indisvalid FROM pg_index WHERE indexrelid = 'a_id'::regclass"),
    ).toEqual([{ indisvalid: false }]);
    await on(other).query('TRUNCATE a');
    const remarks: string[] = [];
    expect(await run([...first, indexed], { onRemark: (text) => remarks.push(text) })).toEqual([
      '0002_index',
    ]);
    expect(remarks).toEqual(['0002_index: dropped the invalid index public.a_id; it is built again']);
    expect(
      await on(other).query("SELECT indisvalid FROM pg_index WHERE indexrelid = 'a_id'::regclass"),
    ).toEqual([{ indisvalid: true }]);
  });

  test.each([
    ['is there and valid: it counts as done', 'CREATE UNIQUE INDEX a_id ON a (id)', 'which is done'],
    ['is not there: it is built', 'SELECT 1', 'which is run again'],
  ])('an index whose end nobody saw %s', async (_, meanwhile, remark) => {
    await run(first);
    await failureOf(run([...first, migration('0002_index', indexed.sql.replace('after_index', 'a'))]));
    await on(other).query('DROP INDEX a_id');
    await on(other).query(
      "UPDATE kg_operator.schema_migrations SET units_done = 1, unit_started = 1 WHERE id = '0002_index'",
    );
    await on(other).query(meanwhile);
    const remarks: string[] = [];
    expect(await run([...first, indexed], { onRemark: (text) => remarks.push(text) })).toEqual([
      '0002_index',
    ]);
    expect(remarks.join()).toContain(remark);
    expect(await tablesOf(on(other))).toEqual(['a', 'after_index']);
  });

  test('what a REINDEX CONCURRENTLY that was killed left behind is dropped, and it runs again', async () => {
    const reindex = migration('0002_reindex', '-- transaction: none\nREINDEX TABLE CONCURRENTLY a;');
    await run(first);
    await on(other).query('CREATE INDEX a_id ON a (id)');
    const invalid = () =>
      on(other).query('SELECT indexrelid::regclass::text AS name FROM pg_index WHERE NOT indisvalid');
    // Its last phase waits for everybody who may still use the old index.
    const reader = await openSession(database.settings);
    await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await reader.query('SELECT FROM a');
    const pid = await pidOf(session);
    const done = run([...first, reindex]).catch((error: unknown) => error);
    await until('the copy was begun', async () => (await invalid()).length > 0);
    await on(other).query('SELECT pg_terminate_backend($1)', [pid]);
    expect(await done).toMatchObject({ code: 'MIGRATION_FAILED' });
    await reader.close();
    expect(await invalid()).toEqual([{ name: 'a_id_ccnew' }]);
    const remarks: string[] = [];
    const again = { onRemark: (text: string) => remarks.push(text) };
    expect(await run([...first, reindex], again, other)).toEqual(['0002_reindex']);
    expect(remarks.join('\n')).toMatch(
      /was interrupted in .*\n.*dropped the invalid index public\.a_id_ccnew/,
    );
    expect(await invalid()).toEqual([]);
  });

  test('a procedure that commits by itself, killed half way: only a person can tell; done and redo', async () => {
    const procedure = migration(
      '0001_procedure',
      `CREATE TABLE a (id int);
       CREATE PROCEDURE slow() LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO a VALUES (1); COMMIT; PERFORM pg_sleep((SELECT CASE WHEN count(*) < 2 THEN 20 ELSE 0 END FROM a)); END $$;`,
    );
    const call = migration('0002_call', '-- transaction: none\nCALL slow();\nINSERT INTO a VALUES (100);');
    await run([procedure]);
    const pid = await pidOf(session);
    const done = run([procedure, call]).catch((error: unknown) => error);
    await until(
      'the procedure has committed',
      async () => (await on(other).query('SELECT FROM a')).length > 0,
    );
    await on(other).query('SELECT pg_terminate_backend($1)', [pid]);
    expect(await done).toMatchObject({ code: 'MIGRATION_FAILED' });

    const again = await failureOf(run([procedure, call], {}, other));
    expect(again).toMatchObject({
      code: 'MIGRATION_INTERRUPTED',
      exitCode: 8,
      details: ['statement: CALL slow()'],
      hint: expect.stringContaining('--interrupted redo'),
    });
    expect((await readStatus(on(other), [procedure, call])).pending).toEqual(['0002_call']);
    expect(await run([procedure, call], { interrupted: 'redo', actor: 'eve@desk' }, other)).toEqual([
      '0002_call',
    ]);
    expect(await on(other).query('SELECT id FROM a ORDER BY id')).toEqual([
      { id: 1 },
      { id: 1 },
      { id: 100 },
    ]);
    expect((await readLedger(on(other))).at(-1)).toMatchObject({
      state: 'applied',
      decisions: [{ action: 'interrupted', outcome: 'redo', by: 'eve@desk', unit: 0 }],
    });
  });
});
