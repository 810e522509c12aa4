import {
  AI_PROVIDER_FACTS,
  type AiProvider,
  type CredentialCheck,
  CredentialUnreadable,
  credentialFingerprint,
  openCredential,
  openEveryCredential,
  PREVIOUS_SIGNING_KEY,
  resolveEncryptionKey,
  Secret,
  sealCredential,
  type Tables,
} from '@kg-operator/config';
import type { Kysely, Transaction } from 'kysely';
import { destinationOf } from '../backup/settings.ts';
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
 * @throws OperatorError API_KEY_INVALID; WrongEncryptionKey
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
    stored !== undefined && opened(encryptionKey, provider, stored.ciphertext)?.reveal() === key.reveal();
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

/** Null for one that is damaged: it is replaced like any other. */
function opened(encryptionKey: Secret, row: string, ciphertext: Uint8Array): Secret | null {
  try {
    return new Secret(openCredential(encryptionKey, row, ciphertext));
  } catch (error) {
    if (error instanceof CredentialUnreadable) return null;
    throw error;
  }
}

/** A stored key; null where there is none, or it does not open. @throws WrongEncryptionKey */
export async function openApiKey(
  db: Kysely<Tables>,
  provider: string,
  encryptionKey: Secret,
): Promise<Secret | null> {
  const stored = await db
    .selectFrom('kg_api.system_api_keys')
    .select('ciphertext')
    .where('provider', '=', provider)
    .executeTakeFirst();
  return stored ? opened(await resolveEncryptionKey(db, encryptionKey), provider, stored.ciphertext) : null;
}

export function setApiKey(db: Kysely<Tables>, input: ApiKeyInput): Promise<Change> {
  return changeConfig(db, (trx) => setApiKeyIn(trx, input));
}

/** A stored credential as it may be shown. */
export interface ApiKeySummary {
  provider: string;
  /** Tells two keys apart, and nothing about them; null where it was written by version 0.1.0. */
  fingerprint: string | null;
  source: string | null;
  setAt: Date;
  opens: boolean;
  /** Why it does not open. */
  reason: string | null;
  /** What does not work without it, now; null: nothing. */
  neededBy: string | null;
}

/** Every stored credential, by name, each opened. @throws WrongEncryptionKey */
export async function listApiKeys(db: Kysely<Tables>, encryptionKey: Secret): Promise<ApiKeySummary[]> {
  return describeApiKeys(db, await openEveryCredential(db, encryptionKey));
}

/** The same with what came of opening them. */
export async function describeApiKeys(
  db: Kysely<Tables>,
  credentials: CredentialCheck[],
): Promise<ApiKeySummary[]> {
  const checks = new Map(credentials.map((check) => [check.row, check]));
  const uses = await usesOfKeys(db);
  const rows = await db
    .selectFrom('kg_api.system_api_keys')
    .select(['provider', 'fingerprint', 'source', 'updated_at'])
    .orderBy('provider')
    .execute();
  return rows.map(({ provider, fingerprint, source, updated_at }) => ({
    provider,
    fingerprint,
    source,
    setAt: updated_at,
    opens: checks.get(provider)?.ok ?? false,
    reason: checks.has(provider) ? (checks.get(provider)?.reason ?? null) : 'not tried',
    neededBy: uses.get(provider) ?? neededByBackups(provider),
  }));
}

/** A platform serves without it, so it is not among `usesOfKeys()`. */
function neededByBackups(row: string): string | null {
  const destination = destinationOf(row);
  return destination === null ? null : `backups to ${destination}`;
}

/**
 * Deletes a stored key. One that is needed only with `evenIfNeeded`.
 * @throws OperatorError KEY_UNKNOWN, KEY_NEEDED
 */
export async function deleteApiKeyIn(
  trx: Transaction<Tables>,
  input: { provider: AiProvider; evenIfNeeded: boolean } & Actor,
): Promise<void> {
  const { provider } = input;
  const stored = await requireKey(trx, provider);
  const use = (await usesOfKeys(trx)).get(provider);
  if (use !== undefined && !input.evenIfNeeded)
    throw new OperatorError('KEY_NEEDED', `${use} needs the ${provider} API key`, {
      exitCode: EXIT.precondition,
      hint: 'choose another provider first, or add --yes: the platform is incomplete without it',
    });
  await trx.deleteFrom('kg_api.system_api_keys').where('provider', '=', provider).execute();
  await recordChange(trx, input, {
    topic: 'api-key',
    action: 'delete',
    subject: provider,
    before: { fingerprint: stored.fingerprint, source: stored.source },
    after: null,
  });
}

export function deleteApiKey(
  db: Kysely<Tables>,
  input: { provider: AiProvider; evenIfNeeded: boolean } & Actor,
): Promise<void> {
  return changeConfig(db, (trx) => deleteApiKeyIn(trx, input));
}

/** Whether a key is stored, opened or not. */
export async function hasApiKey(db: Kysely<Tables>, provider: string): Promise<boolean> {
  return (await findKey(db, provider)) !== undefined;
}

/** @throws OperatorError KEY_UNKNOWN */
export async function requireKey(db: Kysely<Tables>, provider: string) {
  const stored = await findKey(db, provider);
  if (stored) return stored;
  throw new OperatorError('KEY_UNKNOWN', `no ${provider} API key is stored`, {
    exitCode: EXIT.usage,
    hint: 'see ./operator.sh config api-key list',
  });
}

function findKey(db: Kysely<Tables>, provider: string) {
  return db
    .selectFrom('kg_api.system_api_keys')
    .select(['fingerprint', 'source'])
    .where('provider', '=', provider)
    .executeTakeFirst();
}

/** What needs which credential now, by its row's name. */
export async function usesOfKeys(db: Kysely<Tables>): Promise<Map<string, string>> {
  const [ai, embedding, store] = await Promise.all([
    db
      .selectFrom('kg_api.ai_provider_config')
      .select('provider')
      .where('active', '=', true)
      .executeTakeFirst(),
    db.selectFrom('kg_api.embedding_config').select('provider').where('active', '=', true).executeTakeFirst(),
    db
      .selectFrom('kg_api.platform_settings')
      .select('key')
      .where('key', '=', 'object_store')
      .executeTakeFirst(),
  ]);
  const uses = new Map<string, string>([[PREVIOUS_SIGNING_KEY, 'the logins of before the last rotation']]);
  if (store) uses.set('garage', 'object storage');
  if (embedding?.provider === 'openai') uses.set('openai', 'the embedding provider');
  if (ai && AI_PROVIDER_FACTS[ai.provider].key === 'required') uses.set(ai.provider, 'the AI provider');
  return uses;
}
