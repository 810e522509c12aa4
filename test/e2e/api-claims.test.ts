import { afterAll, beforeAll, jest } from '@jest/globals';
import { claimsContract } from '../../packages/api/test/contract/claims.ts';
import { ensureImage } from './images.ts';
import { type PostgresServer, startPostgres } from './postgres.ts';

jest.setTimeout(600_000);

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres(await ensureImage('postgres'));
});
afterAll(() => server.close());

claimsContract('the PostgreSQL of our image', () => server.createDatabase());
