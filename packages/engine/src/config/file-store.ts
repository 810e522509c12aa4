import { isFileStore, type ObjectStoreSettings, type Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type Actor, type Change, recordChange } from './history.ts';

/** Where documents are without an object store: files below the data directory. */
export const FILE_STORE = { folder: 'objects', bucket: 'documents' };

/**
 * Makes files the object store. The same again changes nothing.
 * @throws OperatorError STORE_IN_USE when documents are in another one.
 */
export async function configureFileStore(
  db: Kysely<Tables>,
  { actor }: Actor,
): Promise<Change & ObjectStoreSettings> {
  const settings: ObjectStoreSettings = {
    endpoint: `file:${FILE_STORE.folder}`,
    region: 'local',
    bucket: FILE_STORE.bucket,
    accessKeyId: '',
  };
  return db.transaction().execute(async (trx) => {
    const row = await trx
      .selectFrom('kg_api.platform_settings')
      .select('value')
      .where('key', '=', 'object_store')
      .forUpdate()
      .executeTakeFirst();
    const stored = row?.value as unknown as ObjectStoreSettings | undefined;
    if (stored && isFileStore(stored)) return { ...stored, changed: false };
    const document =
      stored && (await trx.selectFrom('kg_api.documents').select('id').limit(1).executeTakeFirst());
    if (document) {
      throw new OperatorError(
        'STORE_IN_USE',
        `documents are stored in bucket ${stored.bucket} at ${stored.endpoint}`,
        {
          exitCode: EXIT.precondition,
          hint: 'nothing was changed: they could not be read any more',
        },
      );
    }
    const value = JSON.stringify(settings);
    await trx
      .insertInto('kg_api.platform_settings')
      .values({ key: 'object_store', value })
      .onConflict((conflict) => conflict.column('key').doUpdateSet({ value, updated_at: new Date() }))
      .execute();
    await recordChange(trx, { actor }, stored ? 'update' : 'create', 'object storage', { ...settings });
    return { ...settings, changed: true };
  });
}
