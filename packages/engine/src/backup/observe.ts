import { sql } from 'kysely';
import type { BackupObservation } from '../checks/backup.ts';
import type { Observation } from '../model/observation.ts';
import type { RunContext } from '../run/context.ts';
import { listBackups } from './catalog.ts';
import { previousFolders } from './embedded-previous.ts';
import { localDestination } from './installation.ts';
import { FAILED_PREFIX, OUTGOING_PREFIX } from './restore-names.ts';
import { lastScheduled, readDue } from './scheduler.ts';
import { readBackupSettings } from './settings.ts';
import { unfinishedExchange } from './unfinished.ts';

/** Looks at the folder of this host, the notes of the schedule, and the database if that is readable; asks nobody else. */
export async function observeBackups(
  context: RunContext,
  { database, encryptionKeyId }: Pick<Observation, 'database' | 'encryptionKeyId'>,
): Promise<BackupObservation> {
  const isReadable = database.reachable && database.config !== null;
  let unusable: string | null = null;
  const backups = await listBackups([localDestination(context)], ({ message }) => {
    unusable = message;
  });
  return {
    backups,
    settings: isReadable ? await readBackupSettings(context.configDatabase()) : null,
    due: await readDue(context),
    lastScheduled: await lastScheduled(context),
    previousDatabases: isReadable ? await previousDatabases(context) : [],
    exchange: await unfinishedExchange(context.settings.stateDirectory),
    encryptionKeyId,
    unusable,
  };
}

async function previousDatabases(context: RunContext): Promise<{ name: string; bytes: number }[]> {
  const { mode, dataDirectory } = context.settings;
  if (mode === 'embedded') return previousFolders(dataDirectory);
  if (mode === 'postgres') return [];
  const { rows } = await sql<{ name: string; bytes: string }>`
    SELECT datname AS name, pg_database_size(datname) AS bytes
      FROM pg_database WHERE starts_with(datname, ${OUTGOING_PREFIX}) OR starts_with(datname, ${FAILED_PREFIX}) ORDER BY 1`.execute(
    context.configDatabase(),
  );
  return rows.map(({ name, bytes }) => ({ name, bytes: Number(bytes) }));
}
