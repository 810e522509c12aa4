import { isFileStore, type ObjectStoreSettings, openDatabase } from '@kg-operator/config';
import type { RunContext } from '../run/context.ts';
import { documentBucket } from './installation.ts';
import { databasesBefore, removeIncoming } from './restore-names.ts';
import { removeBucket } from './scratch-bucket.ts';

/** What plan goals call buckets that a restore makes (commands/restore.ts); that of a new installation has no number. */
const RESTORED_BUCKET = /^kg-documents-[0-9a-f]{8}$/;

/**
 * Removes what restores that were killed have left: databases that were being loaded, and buckets that neither the live database nor one
 * that was put aside refers to. Where one of these does not tell its bucket, no bucket is removed. Server and Garage are this
 * installation's own, and the caller holds its lock.
 */
export async function removeLeftovers(context: RunContext): Promise<void> {
  if (context.settings.mode !== 'containers') return;
  await removeIncoming(await context.databaseSettings());
  const { settings: store } = await documentBucket(context);
  if (isFileStore(store)) return;
  const made = (await context.garage().listBuckets()).filter(({ alias }) => RESTORED_BUCKET.test(alias));
  if (made.length === 0) return;
  const referred = await bucketsReferredTo(context);
  if (!referred) return;
  for (const bucket of made) if (!referred.has(bucket.alias)) await removeBucket(context, store, bucket);
}

/** Buckets of the live database and of those put aside, but for `except`; null if one of them does not tell. */
export async function bucketsReferredTo(context: RunContext, except?: string): Promise<Set<string> | null> {
  const live = await context.databaseSettings();
  const aside = (await databasesBefore(live)).map(({ name }) => name);
  const found = new Set<string>();
  for (const database of [live.database, ...aside].filter((name) => name !== except)) {
    const store = await objectStoreIn({ ...live, database });
    if (!store) return null;
    found.add(store.bucket);
  }
  return found;
}

// https://www.postgresql.org/docs/17/errcodes-appendix.html
const UNDEFINED_TABLE = '42P01';

/** Where a database says its documents are, if it does. */
export async function objectStoreIn(
  connection: Parameters<typeof openDatabase>[0],
): Promise<ObjectStoreSettings | undefined> {
  const db = openDatabase(connection, { max: 1 });
  try {
    const row = await db
      .selectFrom('kg_api.platform_settings')
      .select('value')
      .where('key', '=', 'object_store')
      .executeTakeFirst();
    return row?.value as ObjectStoreSettings | undefined;
  } catch (error) {
    if ((error as { code?: string }).code === UNDEFINED_TABLE) return undefined;
    throw error;
  } finally {
    await db.destroy();
  }
}
