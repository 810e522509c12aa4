import { isFileStore, type ObjectStoreSettings, openDatabase } from '@kg-operator/config';
import type { RunContext } from '../run/context.ts';
import { documentBucket } from './installation.ts';
import { dropDatabase } from './restore.ts';
import { removeBucket } from './scratch-bucket.ts';

/** Drops a database that a restore has put aside, and the bucket that only its rows refer to. */
export async function dropPrevious(context: RunContext, name: string): Promise<void> {
  const live = await context.databaseSettings();
  const { settings: current } = await documentBucket(context);
  const before = await objectStoreIn({ ...live, database: name });
  if (before && before.bucket !== current.bucket) await removeStore(context, before, current);
  await dropDatabase(live, name);
}

/** Removes a bucket of Garage that nothing refers to any more. */
export async function removeStore(
  context: RunContext,
  before: ObjectStoreSettings,
  current: ObjectStoreSettings,
): Promise<void> {
  if (isFileStore(before) || isFileStore(current)) return;
  const found = await context.garage().findBucket(before.bucket);
  if (found) await removeBucket(context, current, { id: found.id, alias: before.bucket });
}

async function objectStoreIn(
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
  } finally {
    await db.destroy();
  }
}
