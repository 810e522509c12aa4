import { type ConnectionSettings, poolConfig } from '@kg-operator/config';
import pg from 'pg';
import { databaseUnreachable } from '../database/session.ts';

// Rows as text depend on these; dump, load and verify must agree on them. As pg_dump sets them, and time zone and money besides.
export const SESSION = `
SET search_path = '';
SET datestyle = 'ISO, MDY';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
SET lc_monetary = 'C';
SET bytea_output = 'hex';
SET extra_float_digits = 3;
SET synchronize_seqscans = off;
SET row_security = off;
SET client_min_messages = warning;
SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN
  ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')`;

/**
 * A connection for reading or writing whole tables. It is the caller's to end(); an aborted signal ends it at once, and what is under
 * way on it fails.
 * @throws OperatorError DATABASE_UNREACHABLE, DATABASE_PASSWORD
 */
export async function connect(settings: ConnectionSettings, signal?: AbortSignal): Promise<pg.Client> {
  signal?.throwIfAborted();
  const client = new pg.Client({
    ...poolConfig(settings),
    application_name: 'kg-operator backup',
    keepAlive: true,
  });
  client.on('error', () => undefined); // a lost connection fails the query under way, or the next one
  try {
    await client.connect();
  } catch (error) {
    throw databaseUnreachable(settings, error);
  }
  // With a query under way end() closes the socket; the server notices and rolls back.
  const leave = () => void client.end();
  signal?.addEventListener('abort', leave, { once: true });
  client.once('end', () => signal?.removeEventListener('abort', leave));
  await client.query(SESSION);
  return client;
}

/** The rows of one statement. */
export async function rowsOf<Row>(client: pg.Client, sql: string, parameters?: unknown[]): Promise<Row[]> {
  return (await client.query(sql, parameters)).rows as Row[];
}

/** `"schema"."name"` */
export function qualified({ schema, name }: { schema: string; name: string }): string {
  return `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`;
}

/**
 * Runs the tasks side by side. The first failure is what it throws, once the others have ended too: `stop` is called to let them.
 */
export async function together(tasks: Promise<unknown>[], stop: (reason: unknown) => void): Promise<void> {
  let failure: { error: unknown } | undefined;
  const watched = tasks.map((task) =>
    task.catch((error) => {
      failure ??= { error };
      stop(error);
    }),
  );
  await Promise.all(watched);
  if (failure) throw failure.error;
}
