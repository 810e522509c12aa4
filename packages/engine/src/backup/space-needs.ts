import { basename } from 'node:path';
import { isFileStore } from '@kg-operator/config';
import { type Disk, diskOfFolder } from '../model/disk.ts';
import type { Plan } from '../model/plan.ts';
import type { RunContext } from '../run/context.ts';
import type { DumpFile } from './dump-file.ts';
import { backupFolder, databaseSizes, documentBucket } from './installation.ts';
import type { BundleManifest } from './make.ts';
import { loadedBytes, type SpaceNeed, shortageOf } from './space.ts';

const SERVER = "PostgreSQL's volume";

/** Before a backup is made; any other plan needs none. @throws OperatorError DISK_FULL */
export async function assertBackupSpace(context: RunContext, { steps }: Plan): Promise<void> {
  if (!steps.some(({ kind }) => kind === 'write-backup')) return;
  const { bundle, trial } = await backupNeeds(context);
  const shortage = shortageOf(
    steps.some(({ kind }) => kind === 'verify-backup') ? [bundle, trial] : [bundle],
  );
  if (shortage) throw shortage;
}

/** What a backup writes, and the restore that proves it. */
export async function backupNeeds(context: RunContext): Promise<{ bundle: SpaceNeed; trial: SpaceNeed }> {
  const { databaseBytes, tableBytes } = await databaseSizes(context);
  const folder = backupFolder(context.settings);
  const documents = await documentBytes(context);
  // A trial's documents are files, where the platform is not in containers.
  const isOnDisk = context.settings.mode !== 'containers';
  return {
    bundle: {
      what: 'the backup',
      bytes: Math.round(tableBytes / 2) + documents,
      how: 'half of what the tables take without indexes, and the documents as they are',
      place: folder,
      disk: await diskOfFolder(folder),
    },
    trial: {
      what: 'the trial restore',
      bytes: loadedBytes(databaseBytes) + (isOnDisk ? documents : 0),
      how: isOnDisk
        ? 'the size of the database, of its write-ahead log, and of the documents'
        : 'the size of the database and of its write-ahead log',
      // In containers a volume of Docker's, on the same disk.
      ...(await serverDisk(context)),
    },
  };
}

/** So many copies of the database beside it, made file by file. */
export async function databaseCopyNeeds(context: RunContext, copies: number): Promise<SpaceNeed> {
  const { databaseBytes } = await databaseSizes(context);
  return {
    what: copies === 1 ? 'a copy of the database' : `${copies} copies of the database`,
    bytes: copies * databaseBytes,
    how: 'its size: it is kept as it was, to go back to',
    ...(await serverDisk(context)),
  };
}

/** What a restore writes beside the live data. */
export async function restoreNeeds(
  context: RunContext,
  { databaseBytes, database, objects }: BundleManifest,
  withDocuments: boolean,
): Promise<SpaceNeed[]> {
  const rows = database.tables.reduce((sum, { bytes }) => sum + bytes, 0);
  const needs: SpaceNeed[] = [
    {
      what: 'a second database',
      bytes: loadedBytes(databaseBytes ?? 2 * rows),
      how: databaseBytes
        ? 'the size of the database that was saved, and of the write-ahead log'
        : 'twice the text of its rows, and the write-ahead log',
      ...(await serverDisk(context)),
    },
  ];
  if (withDocuments)
    needs.push({
      what: 'a second bucket',
      ...(isFileStore((await documentBucket(context)).settings)
        ? { bytes: objects.bytes, how: 'the documents of the backup', ...(await dataDisk(context)) }
        : {
            // Garage keeps a block once, however many objects have it: what is live already takes nothing more.
            bytes: Math.max(0, objects.bytes - (await documentBytes(context))),
            how: 'the documents of the backup, less what the live bucket holds: Garage stores equal blocks once',
            place: "Garage's volume",
            disk: await garageDisk(context),
          }),
    });
  return needs;
}

// Text of SQL is about as large as the tables it makes, and compresses to a third at the least that is worth refusing for.
const UNPACKED = 3;

/** Before a file of pg_dump is looked at. @throws OperatorError DISK_FULL */
export async function assertDumpSpace(context: RunContext, file: DumpFile): Promise<void> {
  const isPacked = file.compression !== null || file.format === 'custom';
  const bytes = isPacked ? UNPACKED * file.size : file.size;
  const { stateDirectory } = context.settings;
  const shortage = shortageOf([
    {
      what: `a trial of ${basename(file.path)}`,
      bytes: loadedBytes(bytes),
      how: isPacked
        ? 'three times the packed file, and the write-ahead log'
        : 'the file, and the write-ahead log',
      ...(await serverDisk(context)),
    },
    {
      what: 'what is kept of it until it is restored',
      bytes: Math.round(bytes / UNPACKED),
      how: 'a third of its rows',
      place: stateDirectory,
      disk: await diskOfFolder(stateDirectory),
    },
  ]);
  if (shortage) throw shortage;
}

/** Bytes of all documents. */
async function documentBytes(context: RunContext): Promise<number> {
  const { bucket, settings } = await documentBucket(context);
  if (!isFileStore(settings)) return (await context.garage().findBucket(settings.bucket))?.bytes ?? 0;
  let bytes = 0;
  for await (const { size } of bucket.list()) bytes += size;
  return bytes;
}

/** The disk that a second database is on; null where there is no container to look into. */
async function serverDisk(context: RunContext): Promise<{ place: string; disk: Disk | null }> {
  const { runtime, settings } = context;
  if (settings.mode !== 'containers') return dataDisk(context);
  const containers = await runtime.listContainers(settings.project);
  const postgres = containers.find(({ service, state }) => service === 'postgres' && state === 'running');
  return {
    place: SERVER,
    disk: postgres ? await runtime.diskIn(postgres.id, '/var/lib/postgresql') : null,
  };
}

/** Where documents are files, and trials and restored databases folders. */
async function dataDisk({ settings: { dataDirectory } }: RunContext): Promise<{ place: string; disk: Disk }> {
  return { place: dataDirectory, disk: await diskOfFolder(dataDirectory) };
}

async function garageDisk(context: RunContext): Promise<Disk | null> {
  const { nodes } = await context.garage().clusterStatus();
  const disks = nodes.flatMap(({ disk, hasRole }) => (disk && hasRole ? [disk] : []));
  return disks.sort((a, b) => a.available - b.available)[0] ?? null;
}
