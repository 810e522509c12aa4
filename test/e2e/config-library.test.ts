import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type ConfigWatch, openDatabase, watchConfig } from '@kg-operator/config';
import { sql } from 'kysely';
import { applyMigrations, configure, KEY } from '../../packages/config/test/contract/database.ts';
import { loadConfigContract } from '../../packages/config/test/contract/load-config.ts';
import { rotationContract } from '../../packages/config/test/contract/rotation.ts';
import { watchConfigContract } from '../../packages/config/test/contract/watch-config.ts';
import { ensureImage } from './images.ts';
import { type PostgresServer, startPostgres } from './postgres.ts';
import { until } from './wait.ts';

jest.setTimeout(600_000);

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres(await ensureImage('postgres'));
});
afterAll(() => server.close());

const open = () => server.createDatabase();
loadConfigContract('the PostgreSQL of our image', open);
rotationContract('the PostgreSQL of our image', open);
watchConfigContract('the PostgreSQL of our image', open, { listens: true });

describe('watchConfig and the server it listens to', () => {
  let watch: ConfigWatch | undefined;
  afterAll(() => watch?.close());

  test('a backend that an administrator ends is replaced at once, and close() leaves none', async () => {
    const database = await open();
    await applyMigrations(database.settings);
    const db = openDatabase(database.settings);
    try {
      await configure(db);
      watch = await watchConfig(database.settings, KEY, { pollMs: 60_000 });
      const backends = async () =>
        (
          await sql<{ pid: number }>`SELECT pid FROM pg_stat_activity
             WHERE application_name = 'kg-operator watch' AND datname = current_database()`.execute(db)
        ).rows.map(({ pid }) => pid);
      const [first] = await backends();
      await sql`SELECT pg_terminate_backend(${first}::int)`.execute(db);
      await db.updateTable('kg_api.ai_provider_config').set({ model: 'after' }).execute();
      await until('the change is caught up', () => watch?.current().ai.model === 'after', {
        seconds: 2,
        everyMs: 5,
      });
      const [second, ...more] = await backends();
      expect([second === first, more]).toEqual([false, []]);
      expect(watch.failure()).toBeNull();
      await watch.close();
      await until('the backend has ended', async () => (await backends()).length === 0);
    } finally {
      await db.destroy();
      await database.close();
    }
  });
});
