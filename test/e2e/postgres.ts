import { randomBytes } from 'node:crypto';
import { type ConnectionSettings, poolConfig, Secret } from '@kg-operator/config';
import pg from 'pg';
import { docker, expectCode, run } from './command.ts';
import { until } from './wait.ts';

/** A PostgreSQL of one test file, in a container that goes with it. */
export interface PostgresServer {
  settings: ConnectionSettings;
  /** A new, empty database of it. */
  createDatabase(): Promise<{ settings: ConnectionSettings; close(): Promise<void> }>;
  close(): Promise<void>;
}

/** Starts `image`, which is our PostgreSQL (`ensureImage('postgres')`), and waits until it answers. */
export async function startPostgres(image: string): Promise<PostgresServer> {
  const password = randomBytes(24).toString('hex');
  const name = `kge2e-postgres-${randomBytes(4).toString('hex')}`;
  // An image that compose has built names its project: without another label this would pass for a container of that installation.
  const label = ['--label', 'com.docker.compose.project='];
  const options = ['-d', '--rm', '--name', name, '--shm-size', '256m', '-e', 'POSTGRES_PASSWORD', ...label];
  expectCode(
    await run('docker', ['run', ...options, '-p', '127.0.0.1::5432', image], {
      env: { POSTGRES_PASSWORD: password },
    }),
  );
  const port = Number((await docker('port', name, '5432/tcp')).split('\n')[0]?.split(':')[1]);
  const settings = { host: '127.0.0.1', port, user: 'kg', database: 'kg', password: new Secret(password) };
  try {
    await until('PostgreSQL answers', () => execute(settings, 'SELECT 1').then(() => true), { seconds: 120 });
  } catch (error) {
    await docker('rm', '-f', name);
    throw error;
  }
  return {
    settings,
    async createDatabase() {
      const database = `test_${randomBytes(6).toString('hex')}`;
      await execute(settings, `CREATE DATABASE ${database}`);
      return {
        settings: { ...settings, database },
        close: () => execute(settings, `DROP DATABASE ${database} WITH (FORCE)`),
      };
    },
    close: async () => void (await docker('rm', '-f', name)),
  };
}

async function execute(settings: ConnectionSettings, statement: string): Promise<void> {
  const client = new pg.Client(poolConfig(settings));
  try {
    await client.connect();
    await client.query(statement);
  } finally {
    await client.end();
  }
}
