import { isDeepStrictEqual } from 'node:util';
import { type Actor, changeConfig, recordChange, type Tables } from '@kg-operator/config';
import type { Kysely, Transaction } from 'kysely';
import type { Retention } from './retention.ts';
import type { Schedule } from './schedule.ts';

/** Where copies of backups go. An S3 secret key is the row `backup/NAME` of `kg_api.system_api_keys`. */
export type DestinationSettings =
  | { name: string; type: 'directory'; path: string }
  | {
      name: string;
      type: 's3';
      endpoint: string;
      region: string;
      bucket: string;
      prefix: string;
      accessKeyId: string;
    };

/** Row `backup` of `kg_api.platform_settings`. */
export interface BackupSettings {
  /** The public half of the recovery kit; its private half is nowhere here. */
  kit: { recipient: string; createdAt: string; confirmedAt: string | null } | null;
  destinations: DestinationSettings[];
  /** Null: everything is kept. */
  retention: Retention | null;
  schedule: Schedule | null;
}

/** The credential of a destination, a row of `kg_api.system_api_keys`. */
export function credentialRow(destination: string): string {
  return `backup/${destination}`;
}

/** The destination that such a row is of; null: it is something else's. */
export function destinationOf(row: string): string | null {
  return row.startsWith('backup/') ? row.slice('backup/'.length) : null;
}

const ROW = 'backup';
const DEFAULTS: BackupSettings = {
  kit: null,
  destinations: [{ name: 'local', type: 'directory', path: 'backups' }],
  retention: null,
  schedule: null,
};

export async function readBackupSettings(db: Kysely<Tables>): Promise<BackupSettings> {
  const row = await db
    .selectFrom('kg_api.platform_settings')
    .select('value')
    .where('key', '=', ROW)
    .executeTakeFirst();
  return { ...DEFAULTS, ...(row?.value as Partial<BackupSettings> | undefined) };
}

/** Changes them in one transaction with a row of history. The same again changes nothing. */
export async function changeBackupSettings(
  db: Kysely<Tables>,
  actor: Actor,
  subject: keyof BackupSettings,
  change: (settings: BackupSettings) => BackupSettings,
): Promise<{ changed: boolean; settings: BackupSettings }> {
  return changeConfig(db, (trx) => changeBackupSettingsIn(trx, actor, subject, change));
}

/** The same in a transaction of the caller's, together with what else belongs to the change. */
export async function changeBackupSettingsIn(
  trx: Transaction<Tables>,
  actor: Actor,
  subject: keyof BackupSettings,
  change: (settings: BackupSettings) => BackupSettings,
): Promise<{ changed: boolean; settings: BackupSettings }> {
  const before = await readBackupSettings(trx);
  const after = change(before);
  if (isDeepStrictEqual(before, after)) return { changed: false, settings: before };
  const value = JSON.stringify(after);
  await trx
    .insertInto('kg_api.platform_settings')
    .values({ key: ROW, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value, updated_at: new Date() }))
    .execute();
  await recordChange(trx, actor, {
    topic: 'backup',
    action: 'update',
    subject,
    before: { [subject]: before[subject] },
    after: { [subject]: after[subject] },
  });
  return { changed: true, settings: after };
}
