import { keyIdOf, openCredential, type Secret, type Tables, WrongEncryptionKey } from '@kg-operator/config';
import type { Kysely } from 'kysely';

/**
 * Checks that `encryptionKey` is the key of this database before anything is written with it: by the recorded fingerprint, and by
 * opening one stored credential. The first call on an empty database records the fingerprint. Returns the key's id.
 * @throws WrongEncryptionKey, CredentialUnreadable
 */
export async function ensureFingerprint(db: Kysely<Tables>, encryptionKey: Secret): Promise<string> {
  const keyId = keyIdOf(encryptionKey);
  const sample = await db.selectFrom('kg_api.system_api_keys').selectAll().limit(1).executeTakeFirst();
  if (sample) {
    if (sample.key_id !== keyId) throw new WrongEncryptionKey(sample.key_id, keyId);
    await openCredential(encryptionKey, sample.provider, sample.ciphertext);
  }
  await db
    .insertInto('kg_api.key_fingerprint')
    .values({ key_id: keyId })
    .onConflict((conflict) => conflict.column('singleton').doNothing())
    .execute();
  const { key_id: stored } = await db
    .selectFrom('kg_api.key_fingerprint')
    .select('key_id')
    .executeTakeFirstOrThrow();
  if (stored !== keyId) throw new WrongEncryptionKey(stored, keyId);
  return keyId;
}
