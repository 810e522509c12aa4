import {
  keyIdOf,
  resolveEncryptionKey,
  type Secret,
  type Tables,
  WrongEncryptionKey,
} from '@kg-operator/config';
import type { Kysely, Transaction } from 'kysely';
import { changeConfig } from './history.ts';

/**
 * Checks that `encryptionKey` is the key of this database before anything is written with it. Writes only on a database that has no
 * fingerprint yet: the first key that comes is recorded. Returns the id of the key in force. No credential is opened: one that is damaged
 * must not keep a person from setting it anew.
 * @throws WrongEncryptionKey
 */
export async function ensureFingerprint(db: Kysely<Tables>, encryptionKey: Secret): Promise<string> {
  const key = (await hasFingerprint(db))
    ? await checkKey(db, encryptionKey)
    : await changeConfig(db, (trx) => keyInForce(trx, encryptionKey));
  return keyIdOf(key);
}

/**
 * The key that credentials are sealed with now, for who has `given`. Asked inside the transaction that is going to use it, it stays true.
 * @throws WrongEncryptionKey
 */
export async function keyInForce(trx: Transaction<Tables>, given: Secret): Promise<Secret> {
  const isNew = !(await hasFingerprint(trx));
  const key = await checkKey(trx, given);
  if (isNew)
    await trx
      .insertInto('kg_api.key_fingerprint')
      .values({ key_id: keyIdOf(key) })
      .execute();
  return key;
}

async function checkKey(db: Kysely<Tables>, given: Secret): Promise<Secret> {
  const key = await resolveEncryptionKey(db, given);
  // The fingerprint may be lost, as after a restore of some tables; the credentials still name their key.
  const other = await db
    .selectFrom('kg_api.system_api_keys')
    .select('key_id')
    .where('key_id', '<>', keyIdOf(key))
    .executeTakeFirst();
  if (other) throw new WrongEncryptionKey(other.key_id, keyIdOf(given));
  return key;
}

async function hasFingerprint(db: Kysely<Tables>): Promise<boolean> {
  return (await db.selectFrom('kg_api.key_fingerprint').select('key_id').executeTakeFirst()) !== undefined;
}
