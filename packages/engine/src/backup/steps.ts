import { createReadStream } from 'node:fs';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { BackupStep } from '../model/plan.ts';
import type { RunContext } from '../run/context.ts';
import type { Executors } from '../run/execute.ts';
import { bringUpToDate } from './bring-up.ts';
import {
  type BackupRecord,
  bundleName,
  findBackup,
  type ListedBackup,
  listBackups,
  recordName,
} from './catalog.ts';
import { copyBackup } from './copy.ts';
import { openCredentials } from './credentials.ts';
import type { Destination } from './destination.ts';
import { convertDump } from './dump-convert.ts';
import {
  backupFolder,
  backupSource,
  destinationsOf,
  identitiesOf,
  placesOf,
  recipientsOf,
} from './installation.ts';
import { removeLeftovers } from './leftovers.ts';
import { type BundleManifest, makeBackup, writeRecord } from './make.ts';
import { type BundleFile, checkBundle, loadBundle } from './read.ts';
import { restoreConfiguration, restoreObjects } from './restore-part.ts';
import { expired } from './retention.ts';
import { readBackupSettings } from './settings.ts';
import { siteOf } from './site.ts';

/** What the steps of a backup do; they join run/execute.ts's. */
export const backupExecutors: Executors<BackupStep['kind']> = {
  async 'write-backup'({ id }, context, report) {
    await removeLeftovers(context);
    const settings = await readBackupSettings(context.configDatabase());
    const source = await backupSource(context, id);
    const target = { folder: backupFolder(context.settings), ...(await recipientsOf(context, settings)) };
    const record = await makeBackup(source, target, context.signal, report);
    report(`${record.counts.rows} rows, ${record.counts.objects} objects`);
  },

  async 'verify-backup'({ id }, context, report) {
    const tell = (reason: OperatorError) => report(reason.message);
    const places = await placesOf(context, tell);
    const backup = findBackup(await listBackups(places, tell), id);
    await verifyBackup(context, backup, places, report);
  },

  'copy-backup': ({ id, destinations }, context, report) => copyBackup(context, id, destinations, report),

  async 'prune-backups'(_step, context, report) {
    const removed = await pruneBackups(context);
    report(removed.length === 0 ? 'none' : removed.join(', '));
  },

  'convert-dump': (_step, context, report) => convertDump(context, report),

  async 'load-backup'({ backup, database, bucket }, context, report) {
    // A command has read and checked it before; a rollback only knows its id.
    context.backup.file ??= await bundleOfId(context, backup, report);
    await siteOf(context).loadBeside({ database, bucket }, report);
  },

  'swap-database': ({ incoming, outgoing }, context) => siteOf(context).swap({ incoming, outgoing }),

  'restore-objects': (_step, context, report) => restoreObjects(context, report),
  'restore-configuration': ({ database }, context, report) => restoreConfiguration(context, database, report),
};

/** A backup of this installation, where one of its destinations has it. @throws OperatorError BACKUP_UNKNOWN */
async function bundleOfId(
  context: RunContext,
  id: string,
  report: (line: string) => void,
): Promise<BundleFile> {
  const places = await placesOf(context, (reason) => report(reason.message));
  const backup = findBackup(await listBackups(places, (reason) => report(reason.message)), id);
  return bundleAt(places, backup, await identitiesOf(context));
}

function bundleAt(
  destinations: Destination[],
  { id, destinations: names }: ListedBackup,
  identities: BundleFile['identities'],
): BundleFile {
  const holder = destinations.find(({ name }) => names.includes(name));
  if (!holder) throw new Error(`${id} is nowhere`);
  return { open: () => holder.read(bundleName(id)), identities };
}

/** Restores a backup beside the platform, compares, and writes down what came of it. @throws OperatorError BACKUP_NOT_RESTORABLE */
export async function verifyBackup(
  context: RunContext,
  backup: ListedBackup,
  destinations: Destination[],
  report: (line: string) => void,
): Promise<void> {
  const holders = destinations.filter(({ name }) => backup.destinations.includes(name));
  const file = bundleAt(holders, backup, await identitiesOf(context));
  const { destinations: _where, ...record } = backup;
  const note = async (change: Partial<BackupRecord>) => {
    for (const destination of holders) await writeRecord(destination, { ...record, ...change });
  };
  let findings: string[];
  let mode: BundleManifest['mode'] | undefined;
  try {
    report('reading it');
    const checked = await checkBundle(file);
    mode = checked.manifest.mode;
    findings = await siteOf(context).onTrial(async (target) => {
      const { signal, engineVersion } = context;
      const wrong = await loadBundle(file, checked, target, { signal, engineVersion, report });
      if (wrong.length > 0) return wrong;
      await bringUpToDate(target.database.connection, checked, { engineVersion, report });
      return await openCredentials(target.database.connection, checked);
    });
  } catch (error) {
    // Only what the bundle itself is to blame for is a verdict on it; without a key or without Docker nobody knows.
    // A trial in an embedded database is one of what this installation could do with its own backup.
    const isOwn = mode !== 'containers' && mode === context.settings.mode;
    const codes = ['BACKUP_DAMAGED', ...(isOwn ? ['RESTORE_IMPOSSIBLE'] : [])];
    if (error instanceof OperatorError && codes.includes(error.code))
      await note({ state: 'failed', failure: error.message });
    throw error;
  }
  if (findings.length === 0) {
    await note({ state: 'verified', verifiedAt: context.clock.date().toISOString(), failure: null });
    report('restored once, and the same');
    return;
  }
  await note({ state: 'failed', failure: findings.slice(0, 3).join('; ') });
  throw new OperatorError(
    'BACKUP_NOT_RESTORABLE',
    `${backup.id} was restored, and differs from what was backed up`,
    {
      exitCode: EXIT.afterImpact,
      details: findings.slice(0, 20),
      hint: 'keep the backups before it, and make another one: ./operator.sh backup',
    },
  );
}

/** Ids of the backups that the retention policy gives up somewhere. */
export async function expiredBackups(context: RunContext): Promise<string[]> {
  return [...new Set((await expiredByDestination(context)).map(({ id }) => id))];
}

/** Removes them; returns their ids. */
export async function pruneBackups(context: RunContext): Promise<string[]> {
  const gone = await expiredByDestination(context);
  for (const { destination, id } of gone) {
    // The record first: without it, what is left of a bundle is no backup.
    await destination.remove(recordName(id));
    await destination.remove(bundleName(id));
  }
  return [...new Set(gone.map(({ id }) => id))];
}

/** Each destination by itself: what a place keeps must not depend on another that may be lost. */
async function expiredByDestination(
  context: RunContext,
): Promise<{ destination: Destination; id: string }[]> {
  const { retention } = await readBackupSettings(context.configDatabase());
  if (!retention) return [];
  const gone: { destination: Destination; id: string }[] = [];
  for (const destination of await destinationsOf(context)) {
    const backups = await listBackups([destination]);
    const kept = backups.map(({ id, createdAt, state }) => ({ id, createdAt: new Date(createdAt), state }));
    for (const id of expired(kept, retention)) gone.push({ destination, id });
  }
  return gone;
}

/** A bundle that is a file of this host. */
export function bundleOfFile(path: string, identities: BundleFile['identities']): BundleFile {
  return { open: async () => createReadStream(path, { highWaterMark: 1 << 20 }), identities };
}
