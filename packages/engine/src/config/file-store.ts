import { isFileStore, type ObjectStoreSettings, type Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { type Actor, type Change, changeConfig } from './history.ts';
import { storedObjectStore, storeObjectStore } from './object-store.ts';

/** Where documents are without an object store: files below the data directory. */
export const FILE_STORE = { folder: 'objects', bucket: 'documents' };

/**
 * Makes files the object store. The same again changes nothing.
 * @throws OperatorError STORE_IN_USE when documents are in another one.
 */
export async function configureFileStore(
  db: Kysely<Tables>,
  actor: Actor,
): Promise<Change & ObjectStoreSettings> {
  const settings: ObjectStoreSettings = {
    endpoint: `file:${FILE_STORE.folder}`,
    region: 'local',
    bucket: FILE_STORE.bucket,
    accessKeyId: '',
  };
  return changeConfig(db, async (trx) => {
    const stored = await storedObjectStore(trx);
    if (stored && isFileStore(stored)) return { ...stored, changed: false };
    await storeObjectStore(trx, actor, stored, settings);
    return { ...settings, changed: true };
  });
}
