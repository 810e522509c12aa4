import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Secret } from '@kg-operator/config';
import { observeDatabase } from '../../packages/engine/src/database/observe.ts';
import { type MigrationSession, openSession } from '../../packages/engine/src/database/session.ts';
import { readLedger } from '../../packages/engine/src/migrations/ledger.ts';
import { migrate } from '../../packages/engine/src/migrations/migrate.ts';
import { migration, migrationContract, tablesOf } from '../../packages/engine/test/contract/migrations.ts';
import { platformContract } from '../../packages/engine/test/contract/platform.ts';
import { ensureImage } from './images.ts';
import { type PostgresServer, startPostgres } from './postgres.ts';

jest.setTimeout(600_000);

let server: PostgresServer;

// One server for the file; each test has a database of its own.
beforeAll(async () => {
  server = await startPostgres(await ensureImage('postgres'));
});
afterAll(() => server.close());

async function emptyDatabase() {
  const { settings, close } = await server.createDatabase();
  const session = await openSession(settings);
  return {
    settings,
    session,
    async close() {
      await session.close();
      await close();
    },
  };
}

migrationContract('the PostgreSQL of our image', emptyDatabase);
platformContract('the PostgreSQL of our image', emptyDatabase);

describe('migrate, where more than one connection is needed to see it', () => {
  let database: Awaited<ReturnType<typeof emptyDatabase>>;
  let other: MigrationSession;
  beforeEach(async () => {
    database = await emptyDatabase();
    other = await openSession(database.settings);
  });
  afterEach(async () => {
    await other.close();
    await database.close();
  });
  const options = { engineVersion: '1.2.3' };

  test('two runners at once: each file is applied once, by one of them', async () => {
    const files = [
      migration('0001_slow', 'SELECT pg_sleep(0.5); CREATE TABLE first (id int);'),
      migration('0002_next', 'CREATE TABLE second (id int);'),
    ];
    const applied = await Promise.all([
      migrate(database.session, files, options),
      migrate(other, files, options),
    ]);
    expect(applied.map((ids) => ids.length).sort()).toEqual([0, 2]);
    expect((await readLedger(other)).map(({ id }) => id)).toEqual(['0001_slow', '0002_next']);
  });

  test('a runner that is not let in says which process holds it, exit 5', async () => {
    let enter = () => {};
    const entered = new Promise<void>((resolve) => {
      enter = resolve;
    });
    const [row] = await database.session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const holding = migrate(database.session, [migration('0001_slow', 'SELECT pg_sleep(2);')], {
      ...options,
      onStart: enter,
    });
    await entered;
    await expect(migrate(other, [], { ...options, lockTimeoutMs: 300 })).rejects.toMatchObject({
      code: 'MIGRATION_LOCKED',
      exitCode: 5,
      message: expect.stringContaining(`process ${row?.pid} `),
    });
    await holding;
  });

  test('the lock of a runner whose connection dies is free', async () => {
    const [row] = await database.session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    let enter = () => {};
    const entered = new Promise<void>((resolve) => {
      enter = resolve;
    });
    const files = [migration('0001_a', 'CREATE TABLE first (id int); SELECT pg_sleep(20);')];
    const dying = migrate(database.session, files, { ...options, onStart: enter }).catch((error) => error);
    await entered;
    await other.query('SELECT pg_terminate_backend($1)', [row?.pid]);
    expect(await dying).toMatchObject({ code: 'MIGRATION_FAILED' });
    expect(await tablesOf(other)).toEqual([]);
    expect(await migrate(other, [migration('0001_a', 'CREATE TABLE first (id int);')], options)).toEqual([
      '0001_a',
    ]);
    expect(await tablesOf(other)).toEqual(['first']);
  });

  test.each(['COMMIT', 'ROLLBACK', 'COMMIT; BEGIN'])(
    'a file with %s is refused and not recorded',
    async (statement) => {
      const file = migration('0001_escapes', `SELECT 1;\n${statement};\nCREATE TABLE second (id int);`);
      const failure = await migrate(database.session, [file], options).catch((error) => error);
      expect(failure).toMatchObject({
        code: 'MIGRATION_FAILED',
        exitCode: 8,
        hint: expect.stringContaining('remove BEGIN'),
      });
      expect(failure.message).toContain('0001_escapes.sql');
      expect(await readLedger(other)).toEqual([]);
    },
  );

  test('a table lock that is not given makes the file fail instead of queueing the application behind it', async () => {
    await migrate(database.session, [migration('0001_a', 'CREATE TABLE first (id int);')], options);
    await other.query('BEGIN; LOCK TABLE first IN ACCESS EXCLUSIVE MODE;');
    const started = performance.now();
    await expect(
      migrate(
        database.session,
        [
          migration('0001_a', 'CREATE TABLE first (id int);'),
          migration('0002_b', 'ALTER TABLE first ADD b int;'),
        ],
        options,
      ),
    ).rejects.toMatchObject({ code: 'MIGRATION_FAILED', message: expect.stringContaining('lock timeout') });
    expect(performance.now() - started).toBeLessThan(15_000);
    await other.query('ROLLBACK');
    expect((await readLedger(other)).map(({ id }) => id)).toEqual(['0001_a']);
  });

  test('an observation tells an unreachable, a refusing, an empty and a migrated database apart', async () => {
    expect(await observeDatabase({ ...database.settings, port: 9 })).toMatchObject({ reachable: false });
    const wrong = { ...database.settings, password: new Secret('f'.repeat(48)) };
    expect(await observeDatabase(wrong)).toMatchObject({
      reachable: false,
      reason: expect.stringMatching(/password/),
    });
    await expect(openSession(wrong)).rejects.toMatchObject({ code: 'DATABASE_PASSWORD', exitCode: 3 });
    await expect(openSession({ ...server.settings, port: 9 })).rejects.toMatchObject({
      code: 'DATABASE_UNREACHABLE',
      exitCode: 7,
    });
    expect(await observeDatabase(database.settings)).toMatchObject({
      reachable: true,
      schema: { head: null, applied: 0 },
      config: null,
    });
  });
});
