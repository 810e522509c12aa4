import { hostname } from 'node:os';
import type { ConnectionSettings } from '@kg-operator/config';
import { poolConfig } from '@kg-operator/config';
import pg from 'pg';
import { commandActor } from '../config/actor.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';

/** What one statement of a script answered. */
export interface StatementResult {
  /** PostgreSQL's word for it, such as `INSERT` or `CREATE`. */
  command: string;
  /** Rows it returned or changed; null where PostgreSQL does not count. */
  rowCount: number | null;
  rows: Record<string, unknown>[];
}

/** One database connection on which migrations run: locks and settings belong to it alone. */
export interface MigrationSession {
  query<Row>(sql: string, parameters?: unknown[]): Promise<Row[]>;
  /**
   * Sends a text of several statements as one message, and returns what each answered. Without a BEGIN in it PostgreSQL runs it as one
   * transaction.
   * @throws ScriptError
   */
  script(text: string): Promise<StatementResult[]>;
  /** Another connection to the same database, for what must be seen or said while this one is busy. */
  another(): Promise<MigrationSession>;
  /** False once the connection is lost. */
  readonly alive: boolean;
  close(): Promise<void>;
}

/** A statement of a script failed; `cause` is node-postgres's error. */
export class ScriptError extends Error {
  /** How many statements before it were done: the index of the one that failed. */
  readonly completed: number;

  constructor(cause: unknown, completed: number) {
    super(messageOf(cause), { cause });
    this.name = 'ScriptError';
    this.completed = completed;
  }
}

export interface SessionOptions {
  /**
   * `platform`: public and ag_catalog, as the platform's own connections have it. `server`: whatever the database or role is set to, as
   * with psql: for folders that are not the platform's.
   */
  searchPath?: 'platform' | 'server';
}

/**
 * A dedicated connection to PostgreSQL.
 * @throws OperatorError DATABASE_UNREACHABLE
 */
export async function openSession(
  settings: ConnectionSettings,
  options: SessionOptions = {},
): Promise<MigrationSession> {
  const { options: platformPath, ...config } = poolConfig(settings);
  const client = new pg.Client({
    ...config,
    ...(options.searchPath === 'server' || platformPath === undefined ? {} : { options: platformPath }),
    // PostgreSQL keeps 63 bytes of it.
    application_name: `kg-operator migrate (${actor()}, process ${process.pid})`.slice(0, 63),
    keepAlive: true,
  });
  let alive = true;
  // A connection that the server ends between two queries fails the next query; without a listener it would end the process.
  client.on('error', () => {
    alive = false;
  });
  client.on('end', () => {
    alive = false;
  });
  const ended = new Promise<void>((resolve) => client.once('end', resolve));
  try {
    await client.connect();
  } catch (error) {
    throw databaseUnreachable(settings, error);
  }
  let completed = 0;
  // Statements that are done are counted as they are reported: an error of a later one does not say which it was.
  (client as unknown as { connection: NodeJS.EventEmitter }).connection.on('commandComplete', () => {
    completed += 1;
  });
  return {
    query: async <Row>(sql: string, parameters?: unknown[]) =>
      (await client.query(sql, parameters)).rows as Row[],
    async script(text) {
      completed = 0;
      try {
        // Several results come as an array; @types/pg knows only the one.
        const results = [await client.query(text)].flat() as pg.QueryResult[];
        return results.map(({ command, rowCount, rows }) => ({ command, rowCount, rows }));
      } catch (error) {
        throw new ScriptError(error, completed);
      }
    },
    another: () => openSession(settings, options),
    get alive() {
      return alive;
    },
    // One that is lost has nothing to end, and node-postgres would wait for the end of what has ended.
    close: async () => {
      if (alive) await Promise.race([client.end(), ended]);
    },
  };
}

/** Who runs this: user and host, as far as they are known. */
export function actor(): string {
  return `${commandActor().replace(/^os:/, '')}@${hostname()}`;
}

/** An unreachable database, with the reason and what to run. */
export function databaseUnreachable(
  settings: Pick<ConnectionSettings, 'host' | 'port'>,
  error: unknown,
): OperatorError {
  const authentication = (error as { code?: string }).code === '28P01';
  return new OperatorError(
    authentication ? 'DATABASE_PASSWORD' : 'DATABASE_UNREACHABLE',
    `the database at ${settings.host}:${settings.port} ${authentication ? 'refused POSTGRES_PASSWORD' : `can't be reached: ${messageOf(error)}`}`,
    {
      exitCode: authentication ? EXIT.precondition : EXIT.unhealthy,
      hint: authentication
        ? 'restore the .env that belongs to this database'
        : 'start it with ./operator.sh start --infra-only',
      cause: error,
    },
  );
}
