import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { readSecret } from './environment.ts';
import { Secret } from './secret.ts';
import type { Tables } from './tables.ts';

export interface ConnectionSettings {
  host: string;
  port: number;
  user: string;
  database: string;
  password: Secret;
  /** TLS: `require` encrypts, `verify` also checks the server's certificate; without it, neither. */
  tls?: 'require' | 'verify';
}

/** `DATABASE_URL` can't be used. The message never repeats it: it may hold a password. */
export class DatabaseUrlInvalid extends Error {
  constructor(why: string) {
    super(`DATABASE_URL ${why}: write it like postgres://user@host:5432/database`);
    this.name = 'DatabaseUrlInvalid';
  }
}

/**
 * Where the database is, from `DATABASE_URL`, or from `POSTGRES_HOST/PORT/USER/DB/PASSWORD` (password also as `POSTGRES_PASSWORD_FILE`).
 * @throws SecretMissing without a password, DatabaseUrlInvalid.
 */
export function connectionSettings(env: NodeJS.ProcessEnv = process.env): ConnectionSettings {
  if (env.DATABASE_URL) return parseDatabaseUrl(env.DATABASE_URL, env);
  return {
    host: env.POSTGRES_HOST ?? 'localhost',
    port: Number(env.POSTGRES_PORT ?? 5432),
    user: env.POSTGRES_USER ?? 'kg',
    database: env.POSTGRES_DB ?? 'kg',
    password: readSecret('POSTGRES_PASSWORD', env),
  };
}

const TLS_OF_SSLMODE: Record<string, ConnectionSettings['tls']> = {
  disable: undefined,
  prefer: undefined,
  require: 'require',
  'verify-ca': 'verify',
  'verify-full': 'verify',
};

/**
 * Reads `postgres://user:password@host:port/database?sslmode=…`; a password that is not in it comes from `POSTGRES_PASSWORD`.
 * @throws DatabaseUrlInvalid, SecretMissing
 */
export function parseDatabaseUrl(text: string, env: NodeJS.ProcessEnv = process.env): ConnectionSettings {
  if (!URL.canParse(text)) throw new DatabaseUrlInvalid('is not an address');
  const url = new URL(text);
  if (!/^postgres(?:ql)?:$/.test(url.protocol))
    throw new DatabaseUrlInvalid('does not begin with postgres://');
  const { sslmode = 'prefer', ...others } = Object.fromEntries(url.searchParams);
  const [unknown] = Object.keys(others);
  if (unknown !== undefined)
    throw new DatabaseUrlInvalid(`has a parameter that is not supported (${unknown})`);
  if (!(sslmode in TLS_OF_SSLMODE)) throw new DatabaseUrlInvalid('has an sslmode that is not supported');
  const tls = TLS_OF_SSLMODE[sslmode];
  return {
    host: url.hostname.replace(/^\[|\]$/g, '') || 'localhost',
    port: Number(url.port || 5432),
    user: decodeURIComponent(url.username) || 'kg',
    database: decodeURIComponent(url.pathname.slice(1)) || 'kg',
    password: url.password
      ? new Secret(decodeURIComponent(url.password))
      : readSecret('POSTGRES_PASSWORD', env),
    ...(tls ? { tls } : {}),
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
    ...(settings.tls ? { ssl: { rejectUnauthorized: settings.tls === 'verify' } } : {}),
  };
}

/**
 * A Kysely over a pool of connections; `destroy()` closes it. Connects lazily: the first query meets an unreachable server, and asks where
 * the server is, if that is a function.
 */
export function openDatabase(
  settings: ConnectionSettings | (() => Promise<ConnectionSettings>),
  pool: pg.PoolConfig = {},
): Kysely<Tables> {
  const connect = async () => {
    const known = typeof settings === 'function' ? await settings() : settings;
    const connections = new pg.Pool({ ...poolConfig(known), ...pool });
    // An idle connection that the server closes is replaced by the pool at the next query; without a listener it would end the process.
    connections.on('error', () => undefined);
    // The same of one that is in use: the query under way fails, or the next one.
    connections.on('connect', (client) => client.on('error', () => undefined));
    return connections;
  };
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool: connect }) });
}
