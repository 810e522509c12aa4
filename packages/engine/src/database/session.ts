import type { ConnectionSettings } from '@kg-operator/config';
import { poolConfig } from '@kg-operator/config';
import pg from 'pg';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';

/**
 * One database connection on which migrations run: locks and settings belong to it alone. Implemented for PostgreSQL here and
 * for the embedded PGlite in tests.
 */
export interface MigrationSession {
  query<Row>(sql: string, parameters?: unknown[]): Promise<Row[]>;
  /** Runs multi-statement SQL, then `record`, in one transaction that nothing of it may leave. */
  applyInTransaction(
    script: string,
    record: (session: Pick<MigrationSession, 'query'>) => Promise<void>,
  ): Promise<void>;
  close(): Promise<void>;
}

// A migration that waits longer than this for a table lock would queue the application's own queries behind it.
const LOCK_TIMEOUT = '5s';

/**
 * A dedicated connection to PostgreSQL.
 * @throws OperatorError DATABASE_UNREACHABLE
 */
export async function openSession(settings: ConnectionSettings): Promise<MigrationSession> {
  const client = new pg.Client(poolConfig(settings));
  try {
    await client.connect();
  } catch (error) {
    throw databaseUnreachable(settings, error);
  }
  // A connection that the server ends between two queries fails the next query; without a listener it would end the process.
  client.on('error', () => undefined);
  const session: MigrationSession = {
    query: async <Row>(sql: string, parameters?: unknown[]) =>
      (await client.query(sql, parameters)).rows as Row[],
    async applyInTransaction(script, record) {
      await client.query('BEGIN');
      try {
        await client.query(`SET LOCAL lock_timeout = '${LOCK_TIMEOUT}'`);
        const before = await transactionId(session);
        await client.query(script);
        if ((await transactionId(session)) !== before) throw escapedTransaction();
        await record(session);
        await client.query('COMMIT');
      } catch (error) {
        await client.query('ROLLBACK').catch(() => undefined); // the first error is the one to report; a lost connection rolls back by itself
        throw error;
      }
    },
    close: () => client.end(),
  };
  return session;
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

async function transactionId(session: Pick<MigrationSession, 'query'>): Promise<string | undefined> {
  const [row] = await session.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid');
  return row?.xid;
}

function escapedTransaction(): OperatorError {
  return new OperatorError(
    'MIGRATION_INVALID',
    'the file ends its own transaction (COMMIT or ROLLBACK); the runner owns it',
    {
      exitCode: EXIT.schema,
      hint: 'remove BEGIN, COMMIT and ROLLBACK from the file',
    },
  );
}
