import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ConnectionSettings, Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import type { BucketSettings } from '../adapters/garage.ts';
import { megabytes } from '../model/disk.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { Recipients } from './age.ts';
import { writeBundle } from './bundle.ts';
import { type BackupRecord, BUNDLE_SUFFIX, bundleName, recordName } from './catalog.ts';
import { type Destination, directoryDestination, PARTIAL, syncPath } from './destination.ts';
import { dumpWithReferences } from './dumper.ts';
import type { DatabaseManifest } from './format.ts';
import type { ObjectBucket } from './object-store.ts';
import { dumpObjects, type ObjectsManifest } from './objects.ts';

/** What a bundle says of itself, first as `header.json`, and again in `manifest.json`. */
export interface BundleHeader {
  formatVersion: 1;
  id: string;
  createdAt: string;
  project: string;
  engineVersion: string;
  mode: 'containers' | 'postgres' | 'embedded';
  schemaHead: string | null;
  /** Id of the ENCRYPTION_KEY in `secrets.env`; null without one. */
  keyId: string | null;
  /** What the database took on the disk, indexes and all, in bytes; not known of older backups. */
  databaseBytes?: number;
  /** What ran: service → image and its digest. Empty without containers. */
  images: Record<string, { image: string; digest: string }>;
}

export interface BundleManifest extends BundleHeader {
  database: DatabaseManifest;
  objects: ObjectsManifest;
  /** What the bucket is set to, as the store told it. */
  bucket: BucketSettings | null;
}

export interface BackupSource {
  header: BundleHeader;
  connection: ConnectionSettings;
  db: Kysely<Tables>;
  bucket: ObjectBucket;
  bucketSettings: BucketSettings | null;
  /** Files of layer 1 and of the host, by the name they have in the bundle. */
  files: { name: string; text: string }[];
}

export interface BackupTarget {
  /** A folder of this host; the bundle is made there even if it is to be kept elsewhere. */
  folder: string;
  recipients: Recipients;
  opens: BackupRecord['opens'];
}

export type ReportProgress = (line: string) => void;

/**
 * Writes one bundle, whole or not at all, and its record as `unverified`. Bundles that a killed run left unfinished are removed first: the
 * caller holds the installation's lock.
 * @throws OperatorError DISK_FULL, OBJECT_MISSING, DATABASE_…; nothing is left behind then
 */
export async function makeBackup(
  source: BackupSource,
  target: BackupTarget,
  signal: AbortSignal,
  report: ReportProgress,
): Promise<BackupRecord> {
  const { header } = source;
  const started = performance.now();
  await mkdir(target.folder, { recursive: true, mode: 0o700 });
  await removePartial(target.folder);
  const path = join(target.folder, bundleName(header.id));
  const partial = `${path}${PARTIAL}`;
  try {
    const { manifest, sum } = await writeTo(partial, source, target.recipients, signal, report);
    await syncPath(partial);
    const seconds = Math.round((performance.now() - started) / 1000);
    const record = recordOf(manifest, sum, target.opens, seconds);
    // The record first: without its bundle it is no backup, and whoever is killed in between leaves a name that says so.
    await writeRecord(directoryDestination('local', target.folder), record);
    await rename(partial, path);
    await syncPath(target.folder);
    return record;
  } catch (error) {
    await rm(partial, { force: true });
    await rm(join(target.folder, recordName(header.id)), { force: true });
    throw asDiskFull(error, target.folder);
  }
}

async function writeTo(
  path: string,
  { header, connection, db, bucket, bucketSettings, files }: BackupSource,
  recipients: Recipients,
  signal: AbortSignal,
  report: ReportProgress,
) {
  const hash = createHash('sha256');
  const sealed = new PassThrough({ highWaterMark: 1 << 20 });
  const stored = pipeline(
    sealed,
    async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        hash.update(chunk);
        yield chunk;
      }
    },
    createWriteStream(path, { flags: 'wx', mode: 0o600 }),
    { signal },
  );
  let manifest: BundleManifest | undefined;
  const written = writeBundle(sealed, recipients, async (bundle) => {
    await bundle.member('header.json', Buffer.from(`${JSON.stringify(header, null, 1)}\n`));
    for (const { name, text } of files) await bundle.member(name, Buffer.from(text));
    const bytes = rate(report);
    const { database, needed } = await dumpWithReferences(
      { mode: header.mode, connection, db },
      { member: (name, content) => bundle.member(name, content) },
      { signal, onProgress: ({ done, total }) => bytes('database', done, total) },
    );
    // After the snapshot: whatever the database refers to is there by now.
    const objects = await dumpObjects(bucket, bundle, needed, (done) => bytes('objects', done, null));
    manifest = { ...header, database, objects, bucket: bucketSettings };
    return manifest;
  });
  await Promise.all([written, stored]);
  if (!manifest) throw new Error('the bundle was finished without a manifest');
  return { manifest, sum: { size: (await stat(path)).size, sha256: hash.digest('hex') } };
}

function recordOf(
  manifest: BundleManifest,
  sum: { size: number; sha256: string },
  opens: BackupRecord['opens'],
  seconds: number,
): BackupRecord {
  const { id, project, createdAt, engineVersion, schemaHead, keyId, database, objects } = manifest;
  const total = (values: number[]) => values.reduce((all, value) => all + value, 0);
  return {
    formatVersion: 1,
    id,
    project,
    createdAt,
    ...sum,
    seconds,
    engineVersion,
    serverVersion: database.serverVersion,
    schemaHead,
    keyId,
    counts: {
      tables: database.tables.length,
      rows: total(database.tables.map(({ rows }) => rows)),
      graphs: database.graphs.length,
      vertices: total(database.graphs.map(({ vertices }) => vertices)),
      edges: total(database.graphs.map(({ edges }) => edges)),
      objects: objects.count,
      objectBytes: objects.bytes,
    },
    opens,
    state: 'unverified',
    verifiedAt: null,
    failure: null,
  };
}

/** Removes what runs that were killed have left unfinished. */
async function removePartial(folder: string): Promise<void> {
  for (const name of (await readdir(folder)).filter((file) => file.endsWith(PARTIAL))) {
    const unfinished = name.slice(0, -PARTIAL.length);
    if (unfinished.endsWith(BUNDLE_SUFFIX))
      await rm(join(folder, recordName(unfinished.slice(0, -BUNDLE_SUFFIX.length))), { force: true });
    await rm(join(folder, name));
  }
}

/** Writes the record of a bundle beside it, or a newer one over it. */
export async function writeRecord(destination: Destination, record: BackupRecord): Promise<void> {
  await destination.put(recordName(record.id), `${JSON.stringify(record, null, 1)}\n`);
}

/** SHA-256 of a file, in hexadecimal. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** Tells now and then how far it is, how fast, and how long it will still take. */
function rate(report: ReportProgress, now = () => performance.now()) {
  const since = new Map<string, number>();
  return (what: string, done: number, total: number | null) => {
    const start = since.get(what) ?? now();
    since.set(what, start);
    const perSecond = done / Math.max((now() - start) / 1000, 0.001);
    const left =
      total && total > done && perSecond > 0 ? `, ${Math.ceil((total - done) / perSecond)} s left` : '';
    const of = total ? ` of ${megabytes(total)}` : '';
    report(`${what} ${megabytes(done)}${of}, ${megabytes(perSecond)}/s${left}`);
  };
}

function asDiskFull(error: unknown, folder: string): unknown {
  if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') return error;
  return new OperatorError('DISK_FULL', `no space left in ${folder}; the unfinished backup was removed`, {
    exitCode: EXIT.precondition,
    hint: 'free some space, or prune old backups: ./operator.sh backup prune',
    cause: error,
  });
}
