import { Socket } from 'node:net';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { type ConnectionSettings, poolConfig } from './database.ts';
import type { Tables } from './tables.ts';

/** A connection of its own that hears of changes. */
export interface Listener {
  db: Kysely<Tables>;
  /** At once, whatever is under way: that fails. */
  close(): void;
}

export interface ListenerOptions {
  /** Called at every `NOTIFY kg_config`, and when the connection is lost. */
  onNews: () => void;
  /** Closes the connection, also while it is being made. */
  signal: AbortSignal;
}

// A server that vanished without a word is noticed when a query is not answered.
const QUERY_TIMEOUT_MS = 5_000;

/**
 * Connects and listens on `kg_config`. An embedded database refuses that: there `onNews` is only called for the end of the connection.
 * @throws node-postgres's errors
 */
export async function openListener(
  settings: ConnectionSettings,
  { onNews, signal }: ListenerOptions,
): Promise<Listener> {
  signal.throwIfAborted();
  const socket = new Socket();
  const close = () => {
    signal.removeEventListener('abort', close);
    client.removeAllListeners('notification').removeAllListeners('end');
    socket.destroy();
  };
  const client = new pg.Client({
    ...poolConfig(settings),
    application_name: 'kg-operator watch',
    keepAlive: true,
    query_timeout: QUERY_TIMEOUT_MS,
    stream: () => socket,
  });
  client.on('error', () => undefined); // 'end' follows, and the next query fails with the reason
  signal.addEventListener('abort', close);
  try {
    await client.connect();
    client.on('notification', onNews);
    client.on('end', onNews);
    await listen(client);
  } catch (error) {
    close();
    throw error;
  }
  const pool = {
    options: {},
    connect: async () => ({ query: client.query.bind(client), release: () => undefined }),
    end: async () => undefined,
  };
  return { db: new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) }), close };
}

async function listen(client: pg.Client): Promise<void> {
  try {
    await client.query('LISTEN kg_config');
  } catch (error) {
    // SQLSTATE 0A000 feature_not_supported: all connections to an embedded database share one session.
    if ((error as { code?: string }).code !== '0A000') throw error;
  }
}
