import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { readSecret } from './environment.ts';
import type { Secret } from './secret.ts';
import type { Tables } from './tables.ts';

export interface ConnectionSettings {
  host: string;
  port: number;
  user: string;
  database: string;
  password: Secret;
}

/**
 * Where the database is, from `POSTGRES_HOST/PORT/USER/DB/PASSWORD` (password also as `POSTGRES_PASSWORD_FILE`).
 * @throws SecretMissing without a password.
 */
export function connectionSettings(env: NodeJS.ProcessEnv = process.env): ConnectionSettings {
  return {
    host: env.POSTGRES_HOST ?? 'localhost',
    port: Number(env.POSTGRES_PORT ?? 5432),
    user: env.POSTGRES_USER ?? 'kg',
    database: env.POSTGRES_DB ?? 'kg',
    password: readSecret('POSTGRES_PASSWORD', env),
  };
}

/** The same settings as node-postgres wants them. AGE's functions and operators are found through `ag_catalog`; `kg_api` is always written out. */
export function poolConfig(settings: ConnectionSettings): pg.PoolConfig {
  return {
    host: settings.host,
    port: settings.port,
    user: settings.user,
    database: settings.database,
    password: settings.password.reveal(),
    options: '-c search_path=public,ag_catalog',
    connectionTimeoutMillis: 5000,
    application_name: 'kg-operator',
  };
}

/** A Kysely over a pool of connections; `destroy()` closes it. Connects lazily: the first query meets an unreachable server. */
export function openDatabase(settings: ConnectionSettings, pool: pg.PoolConfig = {}): Kysely<Tables> {
  const connections = new pg.Pool({ ...poolConfig(settings), ...pool });
  // An idle connection that the server closes is replaced by the pool at the next query; without a listener it would end the process.
  connections.on('error', () => undefined);
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool: connections }) });
}
