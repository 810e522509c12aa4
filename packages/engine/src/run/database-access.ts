import { mkdir, realpath } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionSettings } from '@kg-operator/config';
import { hasDatabase, openEmbedded } from '../database/embedded.ts';
import { serveWire } from '../database/wire.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { databaseSettings, infrastructureSecret, type Settings } from '../model/settings.ts';
import { accepts, readDevRecord, removeDevRecord } from './dev-record.ts';
import { takeLock } from './lock.ts';

/** The one database of an installation, whatever it runs on: an address to connect to. */
export interface DatabaseAccess {
  /** The address; opens an embedded database when it is first asked. */
  settings(): Promise<ConnectionSettings>;
  close(): Promise<void>;
}

export interface EmbeddedOptions {
  /** Port of the wire protocol on 127.0.0.1; 0: any free one. */
  port: number;
  /** What holds the lock, for a person who meets it. */
  command: string;
  onFailure: (error: unknown) => void;
}

const LOCK_WAIT_MS = 15_000;
const LOCK_POLL_MS = 150;

/** The access for the mode that the settings chose. */
export function databaseAccess(
  settings: Settings,
  command: string,
  env: NodeJS.ProcessEnv = process.env,
): DatabaseAccess {
  if (settings.mode !== 'embedded')
    return { settings: async () => databaseSettings(settings, env), close: async () => undefined };
  const options = { port: 0, command, onFailure: () => undefined };
  let opened: Promise<OpenDatabase> | undefined;
  return {
    async settings() {
      opened ??= joinOrOpen(settings, options);
      return (await opened).connection;
    },
    close: async () => (await opened?.catch(() => undefined))?.close(),
  };
}

export interface OpenDatabase {
  connection: ConnectionSettings;
  close(): Promise<void>;
}

/**
 * The database of a data directory: through the process that has it open, or else opened here. PGlite is one process, so the directory
 * is locked by the one that opens it; the kernel ends the lock with the process.
 * @throws OperatorError NO_DATA, LOCKED, SECRET_MISSING
 */
async function joinOrOpen(settings: Settings, options: EmbeddedOptions): Promise<OpenDatabase> {
  if (!hasDatabase(settings.dataDirectory)) throw noData(settings);
  const deadline = Date.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      return await openOwn(settings, options);
    } catch (error) {
      if (!isLocked(error) || Date.now() > deadline) throw error;
    }
    const port = (await readDevRecord(settings.dataDirectory))?.postgresPort;
    if (port && (await accepts(port)))
      return { connection: loopback(settings, port), close: async () => undefined };
    await sleep(LOCK_POLL_MS);
  }
}

/**
 * Opens the database of a data directory in this process, and makes it first if there is none.
 * @throws OperatorError LOCKED when another process has it, SECRET_MISSING
 */
export async function openOwn(settings: Settings, options: EmbeddedOptions): Promise<OpenDatabase> {
  const { dataDirectory } = settings;
  const connection = loopback(settings, options.port);
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  // By its real path: a lock of one name must not miss a process that uses another.
  const release = await takeLock(await realpath(dataDirectory), options.command);
  try {
    // Whoever has the lock knows that no dev is running, whatever one that was killed has left behind.
    await removeDevRecord(dataDirectory);
    const pglite = await openEmbedded(dataDirectory);
    try {
      const { port, close } = await serveWire(pglite, { ...options, password: connection.password });
      return {
        connection: { ...connection, port },
        async close() {
          await close();
          await pglite.close();
          await release();
        },
      };
    } catch (error) {
      await pglite.close();
      throw error;
    }
  } catch (error) {
    await release();
    throw error;
  }
}

/** @throws OperatorError NO_DATA where there is nothing to look at or to change yet. */
export function noData({ dataDirectory }: Pick<Settings, 'dataDirectory'>): OperatorError {
  return new OperatorError('NO_DATA', `there is no database in ${dataDirectory} yet`, {
    exitCode: EXIT.precondition,
    hint: 'kg-operator dev makes one; for a PostgreSQL of your own set DATABASE_URL, for containers use ./operator.sh',
  });
}

function loopback(settings: Settings, port: number): ConnectionSettings {
  const password = infrastructureSecret(settings, 'POSTGRES_PASSWORD');
  return { host: '127.0.0.1', port, user: 'kg', database: 'kg', password };
}

function isLocked(error: unknown): boolean {
  return error instanceof OperatorError && error.code === 'LOCKED';
}
