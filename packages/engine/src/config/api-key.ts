import { openCredential, type Secret, sealCredential, type Tables } from '@kg-operator/config';
import type { Kysely, Transaction } from 'kysely';
import { EXIT, OperatorError } from '../model/errors.ts';
import { ensureFingerprint } from './fingerprint.ts';
import { type Actor, type Change, recordChange } from './history.ts';

export interface ApiKeyInput extends Actor {
  /** The row's name: an AI provider, or `garage`. */
  provider: string;
  key: Secret;
  encryptionKey: Secret;
}

/** @throws OperatorError API_KEY_INVALID for an empty key, or one with white space (a paste of two lines, a missing character). */
export function checkApiKey(key: Secret): void {
  if (/^[\x21-\x7e]{1,4096}$/.test(key.reveal())) return;
  throw new OperatorError(
    'API_KEY_INVALID',
    'the API key is empty, or holds white space or characters that no header can carry',
    {
      exitCode: EXIT.usage,
      hint: 'give the bare key, on one line',
    },
  );
}

/** Stores a key encrypted. The same key again changes nothing. @throws OperatorError, WrongEncryptionKey, CredentialUnreadable */
export async function setApiKey(db: Kysely<Tables>, input: ApiKeyInput): Promise<Change> {
  checkApiKey(input.key);
  await ensureFingerprint(db, input.encryptionKey);
  return db.transaction().execute((trx) => storeApiKey(trx, input));
}

/** Stores a key in a transaction of the caller's, who has checked the encryption key. */
export async function storeApiKey(trx: Transaction<Tables>, input: ApiKeyInput): Promise<Change> {
  const stored = await trx
    .selectFrom('kg_api.system_api_keys')
    .selectAll()
    .where('provider', '=', input.provider)
    .forUpdate()
    .executeTakeFirst();
  if (
    stored &&
    (await openCredential(input.encryptionKey, input.provider, stored.ciphertext)) === input.key.reveal()
  )
    return { changed: false };
  const { keyId, ciphertext } = await sealCredential(input.encryptionKey, input.provider, input.key);
  const sealed = { key_id: keyId, ciphertext, updated_at: new Date() };
  await trx
    .insertInto('kg_api.system_api_keys')
    .values({ provider: input.provider, ...sealed })
    .onConflict((conflict) => conflict.column('provider').doUpdateSet(sealed))
    .execute();
  await recordChange(trx, input, stored ? 'update' : 'create', `${input.provider} API key`, { keyId });
  return { changed: true };
}
