import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type ConnectionSettings, openDatabase, type Secret } from '@kg-operator/config';
import type pg from 'pg';
import { listMigrationIds } from '../migrations/files.ts';
import { megabytes } from '../model/disk.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { infrastructureSecret } from '../model/settings.ts';
import type { RunContext } from '../run/context.ts';
import { recipientOf } from './age.ts';
import { writeBundle } from './bundle.ts';
import { openCredentials } from './credentials.ts';
import { connect, rowsOf } from './database-connection.ts';
import { dumpDatabase } from './database-dump.ts';
import { createRoles } from './database-restore.ts';
import { examineDump } from './dump-examine.ts';
import type { DumpFile } from './dump-file.ts';
import { loadDump } from './dump-load.ts';
import { documentBucket } from './installation.ts';
import { hostIdentity } from './keys.ts';
import type { BundleHeader, BundleManifest } from './make.ts';
import { type BundleFile, type CheckedBundle, checkBundle } from './read.ts';
import { withTrialPostgres } from './trial-postgres.ts';

/** Files of this name in the state folder are of a run that goes on, or was killed. */
const NAME = /^restore-[0-9a-f]+\.tar\.age$/;

/**
 * Loads a file of pg_dump into a PostgreSQL that nothing depends on, looks whether it is a database of this platform that can be used
 * here, and writes it as a bundle, encrypted, for this restore alone: the restore then works from counts and checksums, and builds AGE's
 * catalog anew by names. Sets `backup.file` and `backup.checked`; `dump.converted` is the caller's to
 * remove.
 * @throws OperatorError of dump-load.ts and dump-examine.ts, BACKUP_UNSUPPORTED, SCRATCH_FAILED; nothing is left then
 */
export async function convertDump(context: RunContext, report: (line: string) => void): Promise<void> {
  const { backup, settings, signal } = context;
  const { dump } = backup;
  if (!dump) throw new Error('no file was chosen');
  const key = dump.encryptionKey ?? infrastructureSecret(settings, 'ENCRYPTION_KEY');
  await removeConverted(context); // of a killed run: this one holds the lock
  await mkdir(settings.stateDirectory, { recursive: true, mode: 0o700 });
  const path = join(settings.stateDirectory, `restore-${randomBytes(6).toString('hex')}.tar.age`);
  const roles = await liveRoles(await context.databaseSettings());
  dump.converted = path;
  try {
    await withTrialPostgres(context, async (connection) => {
      report(`loading ${basename(dump.file.path)}, ${megabytes(dump.file.size)}`);
      await withClient(connection, signal, (client) => createRoles(client, roles));
      await loadDump(connection, dump.file, signal);
      const header = await examineDump(connection, dump.file, key);
      header.databaseBytes = await sizeOf(connection, signal);
      dump.missingDocuments = await countMissing(context, connection);
      report('reading it out again');
      await writeConverted(path, connection, { header, key, signal, report });
      backup.file = await converted(path, key);
      backup.checked = await checkBundle(backup.file);
      if (header.schemaHead === (await listMigrationIds()).at(-1))
        assertCredentialsOpen(dump.file, await openCredentials(connection, backup.checked));
      report(summary(backup.checked));
    });
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

/** Removes what a killed run has left. */
async function removeConverted({ settings }: RunContext): Promise<void> {
  const names = await readdir(settings.stateDirectory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const name of names) if (NAME.test(name)) await rm(join(settings.stateDirectory, name));
}

/** Roles of the live server: what the file gives to one of them can be given to it, here and there. */
async function liveRoles(live: ConnectionSettings): Promise<string[]> {
  return withClient(live, undefined, async (client) => {
    const rows = await rowsOf<{ name: string }>(
      client,
      `SELECT rolname AS name FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'`,
    );
    return rows.map(({ name }) => name);
  });
}

async function withClient<T>(
  connection: ConnectionSettings,
  signal: AbortSignal | undefined,
  use: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = await connect(connection, signal);
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

async function sizeOf(connection: ConnectionSettings, signal: AbortSignal): Promise<number> {
  return withClient(connection, signal, async (client) => {
    const [row] = await rowsOf<{ size: string }>(
      client,
      'SELECT pg_database_size(current_database()) AS size',
    );
    return Number(row?.size);
  });
}

/** How many of the documents that the file's rows refer to are not in the bucket. */
async function countMissing(context: RunContext, connection: ConnectionSettings): Promise<number> {
  const db = openDatabase(connection, { max: 1 });
  try {
    const rows = await db.selectFrom('kg_api.documents').select('object_key').execute();
    const missing = new Set(rows.map(({ object_key }) => object_key));
    if (missing.size === 0) return 0;
    const { bucket } = await documentBucket(context);
    for await (const { key } of bucket.list()) missing.delete(key);
    return missing.size;
  } finally {
    await db.destroy();
  }
}

interface Writing {
  header: BundleHeader;
  /** Goes into the bundle, as the one of a backup does. */
  key: Secret;
  signal: AbortSignal;
  report: (line: string) => void;
}

async function writeConverted(
  path: string,
  connection: ConnectionSettings,
  { header, key, signal, report }: Writing,
): Promise<void> {
  const recipients = { keys: [await recipientOf(hostIdentity(key))] };
  await writeBundle(createWriteStream(path, { flags: 'wx', mode: 0o600 }), recipients, async (bundle) => {
    await bundle.member('header.json', Buffer.from(`${JSON.stringify(header)}\n`));
    await bundle.member('secrets.env', Buffer.from(`ENCRYPTION_KEY=${key.reveal()}\n`));
    const database = await dumpDatabase(
      connection,
      { member: (name, content) => bundle.member(name, content) },
      { signal, onProgress: ({ done }) => report(`reading it out again, ${megabytes(done)}`) },
    );
    const manifest: BundleManifest = { ...header, database, objects: { count: 0, bytes: 0 }, bucket: null };
    return manifest;
  });
}

async function converted(path: string, key: Secret): Promise<BundleFile> {
  return {
    open: async () => createReadStream(path, { highWaterMark: 1 << 20 }),
    identities: { keys: [hostIdentity(key)] },
  };
}

function assertCredentialsOpen({ path }: DumpFile, findings: string[]): void {
  if (findings.length === 0) return;
  throw new OperatorError(
    'DUMP_CREDENTIALS',
    `${basename(path)} holds credentials that do not open with its key`,
    {
      exitCode: EXIT.configuration,
      details: findings,
      hint: 'use another dump; nothing was changed',
    },
  );
}

function summary({ manifest }: CheckedBundle): string {
  const { tables, graphs } = manifest.database;
  const rows = tables.reduce((sum, table) => sum + table.rows, 0);
  const of = graphs.map(({ name, vertices, edges }) => `${name}: ${vertices} vertices, ${edges} edges`);
  return [`${rows} rows`, ...of].join('; ');
}
