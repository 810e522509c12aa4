import { isFileStore, type ObjectStoreSettings, type Tables } from '@kg-operator/config';
import type { Transaction } from 'kysely';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type Actor, recordChange } from './history.ts';

/** Where documents are kept, as stored; the row is locked until the transaction ends. */
export async function storedObjectStore(trx: Transaction<Tables>): Promise<ObjectStoreSettings | undefined> {
  const row = await trx
    .selectFrom('kg_api.platform_settings')
    .select('value')
    .where('key', '=', 'object_store')
    .forUpdate()
    .executeTakeFirst();
  return row?.value as unknown as ObjectStoreSettings | undefined;
}

/**
 * Replaces `stored` by `settings` and records it.
 * @throws OperatorError STORE_IN_USE when that would leave documents behind: files and Garage do not read each other's.
 */
export async function storeObjectStore(
  trx: Transaction<Tables>,
  actor: Actor,
  stored: ObjectStoreSettings | undefined,
  settings: ObjectStoreSettings,
): Promise<void> {
  if (stored && isFileStore(stored) !== isFileStore(settings)) await assertNoDocuments(trx, stored);
  const value = JSON.stringify(settings);
  await trx
    .insertInto('kg_api.platform_settings')
    .values({ key: 'object_store', value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value, updated_at: new Date() }))
    .execute();
  await recordChange(trx, actor, {
    topic: 'garage',
    action: stored ? 'update' : 'create',
    subject: 'object storage',
    before: stored ? { ...stored } : null,
    after: { ...settings },
  });
}

/** @throws OperatorError STORE_IN_USE when `stored` holds documents. */
export async function assertNoDocuments(
  trx: Transaction<Tables>,
  stored: ObjectStoreSettings,
): Promise<void> {
  if (!(await trx.selectFrom('kg_api.documents').select('id').limit(1).executeTakeFirst())) return;
  throw new OperatorError(
    'STORE_IN_USE',
    `documents are stored in bucket ${stored.bucket} at ${stored.endpoint}`,
    { exitCode: EXIT.precondition, hint: 'nothing was changed: they could not be read any more' },
  );
}
