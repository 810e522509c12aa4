import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Secret } from '@kg-operator/config';
import { observeDatabase } from '../../packages/engine/src/database/observe.ts';
import { openSession } from '../../packages/engine/src/database/session.ts';
import { messySqlContract } from '../../packages/engine/test/contract/messy-sql.ts';
import { migrationContract } from '../../packages/engine/test/contract/migrations.ts';
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
  // Our image preloads AGE, which lets nothing be dropped in a database without it.
  await session.query('CREATE EXTENSION age');
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
messySqlContract('the PostgreSQL of our image', emptyDatabase);
platformContract('the PostgreSQL of our image', emptyDatabase);

describe('observing a database', () => {
  let database: Awaited<ReturnType<typeof emptyDatabase>>;
  beforeEach(async () => {
    database = await emptyDatabase();
  });
  afterEach(() => database.close());

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
