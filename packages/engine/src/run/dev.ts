import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  type ConnectionSettings,
  openDatabase,
  readConfigState,
  type Secret,
  type Tables,
} from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { requireConfiguration } from '../checks/configuration.ts';
import { commandActor } from '../config/actor.ts';
import { configureFileStore } from '../config/file-store.ts';
import { ensureFingerprint } from '../config/fingerprint.ts';
import { openSession } from '../database/session.ts';
import { readMigrations } from '../migrations/files.ts';
import { assertHistoryFits, compareWithLedger } from '../migrations/history.ts';
import { readEntries } from '../migrations/ledger.ts';
import { migrate } from '../migrations/migrate.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { count } from '../model/plan.ts';
import { databaseSettings, infrastructureSecret, type Settings } from '../model/settings.ts';
import { type OpenDatabase, openOwn } from './database-access.ts';
import { type DevRecord, findDev, readDevRecord, removeDevRecord, writeDevRecord } from './dev-record.ts';
import { ensureSecrets } from './secrets.ts';

export interface DevOptions {
  settings: Settings;
  engineVersion: string;
  /** Of the web app and the API; 0: any free one. */
  port: number;
  /** Of the wire protocol of an embedded database; 0: any free one. */
  postgresPort: number;
  /** Loads the demonstration text, once. */
  demo: boolean;
  /** Completes layer 3 of an embedded database with what it lacks. */
  configure: (db: Kysely<Tables>, encryptionKey: Secret) => Promise<void>;
  /** Told what is being done. */
  report: (line: string) => void;
  /** A line of the API's log. */
  log: (line: string) => void;
  /** The embedded database ended under us. */
  onFailure: (error: unknown) => void;
}

export interface RunningPlatform {
  url: string;
  postgres: ConnectionSettings;
  db: Kysely<Tables>;
  close(): Promise<void>;
}

/** Requests under way get this long to finish. */
const GRACE_MS = 3000;

/**
 * The whole platform in this process, layer by layer: secrets, schema, configuration, then API and web app on one port of 127.0.0.1. An
 * embedded database is brought along from nothing; one of the user's must be migrated and configured by them, and is refused otherwise.
 * @throws OperatorError PORT_IN_USE, LOCKED, SCHEMA_PENDING and what the layers throw; what was opened is closed again
 */
export async function startPlatform(options: DevOptions): Promise<RunningPlatform> {
  const { settings, report } = options;
  const { createPlatform, jsonLog, openSite, Redaction } = await import('@kg-operator/api');
  const undo: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const site = await listen(
      () => openSite(packaged('web', '../web/dist'), options.port, process.pid),
      options.port,
    );
    undo.push(() => site.close(0));

    if (settings.mode === 'embedded' && (await ensureSecrets(settings.dataDirectory)))
      report(`Wrote ${join(settings.dataDirectory, '.env')}: the data cannot be read without it`);
    const encryptionKey = infrastructureSecret(settings, 'ENCRYPTION_KEY');
    const signingKey = infrastructureSecret(settings, 'OAUTH_SIGNING_KEY');
    const redaction = new Redaction();
    redaction.add([encryptionKey, signingKey]);

    const database = await openAny(options);
    undo.push(() => database.close());
    const db = openDatabase(database.connection);
    undo.push(() => db.destroy());
    redaction.add([database.connection.password]);

    await completeSchema(database.connection, options);
    if (settings.mode === 'embedded') {
      await ensureFingerprint(db, encryptionKey);
      await options.configure(db, encryptionKey);
    }
    await requireConfiguration(db);

    const shutdown = new AbortController();
    const platform = await createPlatform({
      version: options.engineVersion,
      db,
      connection: database.connection,
      encryptionKey,
      signingKey,
      dataDirectory: settings.dataDirectory,
      log: jsonLog(redaction, options.log),
      onSecrets: redaction.add,
      shutdown: shutdown.signal,
    });
    undo.push(() => platform.close());
    if (options.demo) await loadDemo(platform, report);
    site.serveApi((request) => platform.app.fetch(request));
    undo.push(async () => {
      setTimeout(() => shutdown.abort(), GRACE_MS).unref();
      await site.close(GRACE_MS + 500);
    });

    const url = `http://localhost:${site.port}`;
    await writeDevRecord(settings.dataDirectory, {
      pid: process.pid,
      url,
      postgresPort: settings.mode === 'embedded' ? database.connection.port : null,
      startedAt: new Date().toISOString(),
    });
    undo.push(() => removeDevRecord(settings.dataDirectory));
    return { url, postgres: database.connection, db, close };
  } catch (error) {
    await close().catch(() => undefined); // the first error is the one to report
    throw error;
  }
}

/** How long a command that only looks, or changes a setting, is waited for. */
const LOCK_WAIT_MS = 10_000;

async function openAny(options: DevOptions): Promise<OpenDatabase> {
  const { settings, postgresPort, onFailure } = options;
  if (settings.mode !== 'embedded')
    return { connection: databaseSettings(settings), replace: null, close: async () => undefined };
  const own = { port: postgresPort, command: 'kg-operator dev', onFailure };
  const deadline = Date.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      return await listen(() => openOwn(settings, own), postgresPort);
    } catch (error) {
      if (!(error instanceof OperatorError) || error.code !== 'LOCKED') throw error;
      const running = await readDevRecord(settings.dataDirectory);
      if (running && (await findDev(settings.dataDirectory))) throw alreadyRunning(running, error);
      if (Date.now() > deadline) throw error;
    }
    await sleep(200);
  }
}

function alreadyRunning({ url, pid }: DevRecord, cause: unknown): OperatorError {
  return new OperatorError('LOCKED', `it is running already: ${url} (process ${pid})`, {
    exitCode: EXIT.locked,
    hint: 'stop that one with Ctrl-C, or use another --data directory',
    cause,
  });
}

/** Embedded: migrates. Otherwise only looks: when a database that others may use is changed is for a person to say. */
async function completeSchema(
  connection: ConnectionSettings,
  { settings, engineVersion, report }: DevOptions,
): Promise<void> {
  const migrations = await readMigrations();
  const session = await openSession(connection);
  try {
    if (settings.mode === 'embedded') {
      const applied = await migrate(session, migrations, { engineVersion });
      if (applied.length > 0) report(`Applied ${count(applied.length, 'migration')}`);
      return;
    }
    const ledger = await readEntries(session);
    await assertHistoryFits(session, migrations, ledger);
    const { pending } = compareWithLedger(
      migrations.map(({ id }) => id),
      ledger,
    );
    if (pending.length === 0) return;
    throw new OperatorError(
      'SCHEMA_PENDING',
      `${pending.length} of ${count(migrations.length, 'migration')} pending`,
      {
        exitCode: EXIT.schema,
        details: pending,
        hint: 'run ./operator.sh migrate',
      },
    );
  } finally {
    await session.close();
  }
}

const DEMO_TITLE = 'Around the World in Eighty Days (Jules Verne, 1873): a gentleman and his itinerary';

type Platform = Awaited<ReturnType<typeof import('@kg-operator/api').createPlatform>>;

/** Reads the text that comes with the package by rules, whatever provider is configured: it needs no key, and is the same everywhere. */
async function loadDemo({ inForce, graph }: Platform, report: (line: string) => void): Promise<void> {
  const { documents } = inForce.current;
  if ((await documents.list(1000)).some(({ title }) => title === DEMO_TITLE)) return;
  const { localExtractor } = await import('@kg-operator/api');
  const text = await readFile(join(packaged('demo'), 'eighty-days.txt'), 'utf8');
  const { concepts, relations } = await localExtractor().extract(text, new AbortController().signal);
  await graph.add(concepts, relations);
  await documents.create(DEMO_TITLE, text, 'demo');
  report(
    `Loaded a demonstration: ${count(concepts.length, 'concept')}, ${count(relations.length, 'relation')}`,
  );
}

/** A folder of the package, or where it is in the repository. */
function packaged(...candidates: string[]): string {
  let root = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(root, 'package.json'))) root = dirname(root);
  const found = candidates.map((path) => join(root, path)).find((path) => existsSync(path));
  if (found) return found;
  throw new OperatorError('INCOMPLETE_PACKAGE', `${candidates[0]} is missing in ${root}`, {
    exitCode: EXIT.precondition,
    hint: 'in a checkout: npm run build',
  });
}

async function listen<T>(open: () => Promise<T>, port: number): Promise<T> {
  try {
    return await open();
  } catch (error) {
    const { code, port: failed } = error as { code?: string; port?: number };
    if ((code !== 'EADDRINUSE' && code !== 'EACCES') || failed !== port) throw error;
    throw new OperatorError(
      'PORT_IN_USE',
      code === 'EACCES' ? `port ${port} may not be used: ${messageOf(error)}` : `port ${port} is in use`,
      {
        exitCode: EXIT.precondition,
        hint: 'free it, or choose another with --port or --expose-postgres',
        cause: error,
      },
    );
  }
}

/** Which configuration items a database lacks. */
export async function missingConfiguration(db: Kysely<Tables>): Promise<string[]> {
  return (await readConfigState(db)).items.filter(({ ok }) => !ok).map(({ item }) => item);
}

/** Makes documents files, if nothing was said about them yet. */
export async function ensureObjectStore(db: Kysely<Tables>): Promise<void> {
  if ((await missingConfiguration(db)).includes('object storage'))
    await configureFileStore(db, { actor: commandActor() });
}
