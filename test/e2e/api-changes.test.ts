import { afterAll, beforeAll, jest } from '@jest/globals';
import { changesContract } from '../../packages/api/test/contract/changes.ts';
import { ensureImage } from './images.ts';
import { type PostgresServer, startPostgres } from './postgres.ts';

jest.setTimeout(600_000);

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres(await ensureImage('postgres'));
});
afterAll(() => server.close());

changesContract('the PostgreSQL of our image', () => server.createDatabase());
