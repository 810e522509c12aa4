import { mkdir, realpath } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionSettings } from '@kg-operator/config';
import { hasDatabase, openEmbedded } from '../database/embedded.ts';
import { finishSwap, isSwapping } from '../database/embedded-swap.ts';
import { serveWire } from '../database/wire.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { databaseSettings, infrastructureSecret, type Settings } from '../model/settings.ts';
import { accepts, readDevRecord, removeDevRecord } from './dev-record.ts';
import { takeLock } from './lock.ts';

/** The one database of an installation, whatever it runs on: an address to connect to. */
export interface DatabaseAccess {
  /** The address; opens an embedded database when it is first asked. */
  settings(): Promise<ConnectionSettings>;
  /** What an embedded database allows besides; null for another. */
  folder: DatabaseFolder | null;
  close(): Promise<void>;
}

/** The folder of an embedded database. */
export interface DatabaseFolder {
  /** Opens it in this process. @throws OperatorError LOCKED when another process has it open */
  assertOwn(): Promise<void>;
  /** Closes it, changes the folder, and opens what is there then; nobody else can open it meanwhile. @throws OperatorError LOCKED */
  replace(change: () => Promise<void>): Promise<void>;
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
    return {
      settings: async () => databaseSettings(settings, env),
      folder: null,
      close: async () => undefined,
    };
  const options = { port: 0, command, onFailure: () => undefined };
  let opened: Promise<OpenDatabase> | undefined;
  const open = () => {
    opened ??= joinOrOpen(settings, options);
    return opened;
  };
  const own = async () => {
    const { replace } = await open();
    if (!replace) throw await heldByDev(settings);
    return replace;
  };
  return {
    settings: async () => (await open()).connection,
    folder: {
      assertOwn: async () => void (await own()),
      replace: async (change) => (await own())(change),
    },
    close: async () => (await opened?.catch(() => undefined))?.close(),
  };
}

export interface OpenDatabase {
  /** Another one after `replace()`. */
  connection: ConnectionSettings;
  /** As DatabaseFolder has it; null where another process has the database open. */
  replace: DatabaseFolder['replace'] | null;
  close(): Promise<void>;
}

async function heldByDev({ dataDirectory }: Settings): Promise<OperatorError> {
  const running = await readDevRecord(dataDirectory);
  return new OperatorError(
    'LOCKED',
    `kg-operator dev has the database open${running ? ` (process ${running.pid})` : ''}, and it can't be replaced meanwhile`,
    { exitCode: EXIT.locked, hint: 'stop it with Ctrl-C, run this again, then start it again' },
  );
}

/**
 * The database of a data directory: through the process that has it open, or else opened here. PGlite is one process, so the directory
 * is locked by the one that opens it; the kernel ends the lock with the process.
 * @throws OperatorError NO_DATA, LOCKED, SECRET_MISSING
 */
async function joinOrOpen(settings: Settings, options: EmbeddedOptions): Promise<OpenDatabase> {
  if (!hasDatabase(settings.dataDirectory) && !isSwapping(settings.dataDirectory)) throw noData(settings);
  const deadline = Date.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      return await openOwn(settings, options);
    } catch (error) {
      if (!isLocked(error) || Date.now() > deadline) throw error;
    }
    const port = (await readDevRecord(settings.dataDirectory))?.postgresPort;
    if (port && (await accepts(port)))
      return { connection: loopback(settings, port), replace: null, close: async () => undefined };
    await sleep(LOCK_POLL_MS);
  }
}

/**
 * Opens the database of a data directory in this process, and makes it first if there is none.
 * @throws OperatorError LOCKED when another process has it, SECRET_MISSING
 */
export async function openOwn(settings: Settings, options: EmbeddedOptions): Promise<OpenDatabase> {
  const { dataDirectory } = settings;
  const address = loopback(settings, options.port);
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  // By its real path: a lock of one name must not miss a process that uses another.
  const release = await takeLock(await realpath(dataDirectory), options.command);
  try {
    // Whoever has the lock knows that no dev is running, whatever one that was killed has left behind.
    await removeDevRecord(dataDirectory);
    await finishSwap(dataDirectory);
    let served: Served | null = await serve(dataDirectory, address, options);
    let { connection } = served;
    const stop = async () => {
      const { close } = served ?? {};
      served = null;
      await close?.();
    };
    return {
      get connection() {
        return connection;
      },
      async replace(change) {
        await stop();
        try {
          await change();
        } finally {
          served = await serve(dataDirectory, address, options);
          connection = served.connection;
        }
      },
      async close() {
        await stop();
        await release();
      },
    };
  } catch (error) {
    await release();
    throw error;
  }
}

interface Served {
  connection: ConnectionSettings;
  close(): Promise<void>;
}

async function serve(
  dataDirectory: string,
  address: ConnectionSettings,
  options: EmbeddedOptions,
): Promise<Served> {
  const pglite = await openEmbedded(dataDirectory);
  try {
    const { port, close } = await serveWire(pglite, { ...options, password: address.password });
    return {
      connection: { ...address, port },
      async close() {
        await close();
        await pglite.close();
      },
    };
  } catch (error) {
    await pglite.close();
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
