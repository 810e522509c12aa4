import {
  credentialFingerprint,
  openCredential,
  type Secret,
  sealCredential,
  type Tables,
} from '@kg-operator/config';
import type { Kysely, Transaction } from 'kysely';
import { EXIT, OperatorError } from '../model/errors.ts';
import { keyInForce } from './fingerprint.ts';
import { type Actor, type Change, changeConfig, recordChange } from './history.ts';

export interface ApiKeyInput extends Actor {
  /** The row's name: an AI provider, or `garage`. */
  provider: string;
  key: Secret;
  /** `env:NAME` or `file:PATH`, where the key came from; null: from nowhere that can be looked at again. */
  source?: string | null;
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

/**
 * Stores a key encrypted. The same key again changes nothing.
 * @throws OperatorError API_KEY_INVALID; WrongEncryptionKey, CredentialUnreadable
 */
export async function setApiKeyIn(trx: Transaction<Tables>, input: ApiKeyInput): Promise<Change> {
  const { provider, key, source = null } = input;
  checkApiKey(key);
  const encryptionKey = await keyInForce(trx, input.encryptionKey);
  const stored = await trx
    .selectFrom('kg_api.system_api_keys')
    .selectAll()
    .where('provider', '=', provider)
    .executeTakeFirst();
  const sameKey =
    stored !== undefined &&
    (await openCredential(encryptionKey, provider, stored.ciphertext)) === key.reveal();
  if (sameKey && (source === null || source === stored.source)) return { changed: false };
  const { keyId, ciphertext } = await sealCredential(encryptionKey, provider, key);
  const fingerprint = credentialFingerprint(encryptionKey, key);
  const sealed = { key_id: keyId, ciphertext, fingerprint, source, updated_at: new Date() };
  await trx
    .insertInto('kg_api.system_api_keys')
    .values({ provider, ...sealed })
    .onConflict((conflict) => conflict.column('provider').doUpdateSet(sealed))
    .execute();
  await recordChange(trx, input, {
    topic: 'api-key',
    action: stored ? 'update' : 'create',
    subject: provider,
    before: stored ? { fingerprint: stored.fingerprint, source: stored.source } : null,
    after: { fingerprint, source },
  });
  return { changed: true };
}

export function setApiKey(db: Kysely<Tables>, input: ApiKeyInput): Promise<Change> {
  return changeConfig(db, (trx) => setApiKeyIn(trx, input));
}
