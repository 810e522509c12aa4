import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isFileStore, type ObjectStoreSettings } from '@kg-operator/config';
import type { RunContext } from '../run/context.ts';
import { openBucket } from './installation.ts';
import type { ObjectBucket } from './object-store.ts';

const PREFIX = 'kg-trial-';

/**
 * Runs with an empty bucket beside the documents' own, and removes it with all it holds. Those that a killed run left behind are removed
 * first: the caller holds the installation's lock.
 */
export async function withScratchBucket<T>(
  context: RunContext,
  store: ObjectStoreSettings,
  random: string,
  use: (bucket: ObjectBucket) => Promise<T>,
): Promise<T> {
  const name = `${PREFIX}${random}`;
  const bucket = await openBucket(context, { ...store, bucket: name });
  if (isFileStore(store)) {
    try {
      return await use(bucket);
    } finally {
      await rm(join(context.settings.dataDirectory, store.endpoint.slice('file:'.length), name), {
        recursive: true,
        force: true,
      });
    }
  }
  await removeScratchBuckets(context, store);
  const garage = context.garage();
  const { id } = await garage.createBucket(name);
  let result: T;
  try {
    await garage.allowKey(id, store.accessKeyId);
    result = await use(bucket);
  } catch (error) {
    // What went wrong first is what a person must hear; a bucket that stays is removed by the next run.
    await removeBucket(context, store, { id, alias: name }).catch(() => undefined);
    throw error;
  }
  await removeBucket(context, store, { id, alias: name });
  return result;
}

async function removeScratchBuckets(context: RunContext, store: ObjectStoreSettings): Promise<void> {
  for (const found of await context.garage().listBuckets())
    if (found.alias.startsWith(PREFIX)) await removeBucket(context, store, found);
}

/** Removes a bucket with everything in it. */
export async function removeBucket(
  context: RunContext,
  store: ObjectStoreSettings,
  { id, alias }: { id: string; alias: string },
): Promise<void> {
  // A run that was killed between making and allowing left a bucket that nobody may read.
  await context.garage().allowKey(id, store.accessKeyId);
  const bucket = await openBucket(context, { ...store, bucket: alias });
  for await (const { key } of bucket.list()) await bucket.remove(key);
  await context.garage().deleteBucket(id);
}
