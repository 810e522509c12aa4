import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Secret } from '@kg-operator/config';
import { openSession } from '../../packages/engine/src/database/session.ts';
import { migrate } from '../../packages/engine/src/migrations/migrate.ts';
import { verify } from '../../packages/engine/src/migrations/verify.ts';
import { migration } from '../../packages/engine/test/contract/migrations.ts';
import { schemaContract } from '../../packages/engine/test/contract/schema.ts';
import { ensureImage } from './images.ts';
import { type PostgresServer, startPostgres } from './postgres.ts';
import { until } from './wait.ts';

jest.setTimeout(600_000);

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres(await ensureImage('postgres'));
});
afterAll(() => server?.close());

schemaContract('the PostgreSQL of our image', () => server.createDatabase());

describe('the scratch database', () => {
  const options = { engineVersion: '1.2.3' };

  async function scratchDatabases(): Promise<string[]> {
    const session = await openSession(server.settings);
    const rows = await session.query<{ name: string }>(
      `SELECT datname::text AS name FROM pg_database WHERE datname LIKE 'kg\\_operator\\_scratch\\_%'`,
    );
    await session.close();
    return rows.map(({ name }) => name);
  }

  async function withMigrated(sql: string, use: (settings: PostgresServer['settings']) => Promise<void>) {
    const { settings, close } = await server.createDatabase();
    const session = await openSession(settings);
    await migrate(session, [migration('0001_x', sql)], options);
    try {
      await use(settings);
    } finally {
      await session.close();
      await close();
    }
  }

  test('is gone after a success and after a failure', async () => {
    await withMigrated('CREATE TABLE public.t (a int);', async (settings) => {
      await verify(settings, [], options);
      expect(await scratchDatabases()).toEqual([]);
    });
    const failsElsewhere = `DO $$ BEGIN IF current_database() LIKE 'kg\\_operator\\_%' THEN RAISE 'no'; END IF; END $$;`;
    await withMigrated(failsElsewhere, async (settings) => {
      await expect(verify(settings, [], options)).rejects.toMatchObject({ code: 'REPLAY_FAILED' });
      expect(await scratchDatabases()).toEqual([]);
    });
  });

  test('is gone soon after Ctrl-C, though a statement of minutes runs in it', async () => {
    const slow = `DO $$ BEGIN IF current_database() LIKE 'kg\\_operator\\_%' THEN PERFORM pg_sleep(300); END IF; END $$;`;
    await withMigrated(slow, async (settings) => {
      const interrupt = new AbortController();
      const running = verify(settings, [], { ...options, signal: interrupt.signal });
      const caught = running.catch((error: unknown) => error);
      await until('it replays', async () => (await scratchDatabases()).length === 1);
      interrupt.abort();
      expect(await caught).toMatchObject({ code: 'INTERRUPTED', exitCode: 130 });
      expect(await scratchDatabases()).toEqual([]);
    });
  });

  test('of a killed run is dropped by the next one, one in use or just made is not', async () => {
    const [leftover, fresh, used] = [
      'kg_operator_scratch_1700000000_00000000',
      `kg_operator_scratch_${Math.floor(Date.now() / 1000)}_00000001`,
      'kg_operator_scratch_1700000000_00000002',
    ];
    const admin = await openSession(server.settings);
    for (const name of [leftover, fresh, used]) await admin.query(`CREATE DATABASE ${name}`);
    const user = await openSession({ ...server.settings, database: used });
    const remarks: string[] = [];
    await withMigrated('SELECT 1;', async (settings) => {
      await verify(settings, [], { ...options, onRemark: (text) => remarks.push(text) });
    });
    expect((await scratchDatabases()).sort()).toEqual([used, fresh].sort());
    expect(remarks).toEqual([expect.stringContaining(leftover)]);
    await user.close();
    for (const name of [fresh, used]) await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
    await admin.close();
  });

  test('a role that may make no database is told what would let it', async () => {
    await withMigrated('SELECT 1;', async (settings) => {
      const admin = await openSession(settings);
      await admin.script(
        `CREATE ROLE plain LOGIN PASSWORD 'plain'; GRANT pg_read_all_data TO plain; GRANT USAGE ON SCHEMA kg_operator TO plain;`,
      );
      const plain = { ...settings, user: 'plain', password: new Secret('plain') };
      await expect(verify(plain, [], options)).rejects.toMatchObject({
        code: 'SCRATCH_REFUSED',
        exitCode: 3,
        hint: expect.stringContaining('CREATEDB'),
      });
      await admin.script('DROP OWNED BY plain; DROP ROLE plain;');
      await admin.close();
    });
  });

  test('has the settings of the database it is compared with, so that names mean the same', async () => {
    const { settings, close } = await server.createDatabase();
    const admin = await openSession(settings);
    await admin.script(
      `CREATE SCHEMA app; ALTER DATABASE ${settings.database} SET search_path = app, public;`,
    );
    const session = await openSession(settings, { searchPath: 'server' });
    await migrate(
      session,
      [migration('0001_x', 'CREATE SCHEMA IF NOT EXISTS app; CREATE TABLE t (a int);')],
      options,
    );
    expect((await verify(settings, [], { ...options, searchPath: 'server' })).differences).toEqual([]);
    await session.close();
    await admin.close();
    await close();
  });
});
