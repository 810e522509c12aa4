import { type Kysely, sql, type Transaction } from 'kysely';
import { type ConfigRows, readConfigRows } from './config-rows.ts';
import {
  credentialFingerprint,
  keyIdOf,
  openBridge,
  openCredential,
  sealBridge,
  sealCredential,
} from './encryption.ts';
import { CredentialUnreadable, RotationUnfinished, WrongEncryptionKey } from './errors.ts';
import { Secret } from './secret.ts';
import type { Tables } from './tables.ts';

/**
 * The key that this database's credentials are encrypted with, by who has `given`: that one, or, while it is being rotated, the new one
 * behind the bridge. Before the first credential any key is right.
 * @throws WrongEncryptionKey, CredentialUnreadable
 */
export async function resolveEncryptionKey(db: Kysely<Tables>, given: Secret): Promise<Secret> {
  return keyInForce(await readFingerprint(db), given);
}

/** The same from the row of `kg_api.key_fingerprint`, its bridge in hexadecimal. */
export function keyInForce(fingerprint: ConfigRows['fingerprint'], given: Secret): Secret {
  const givenKeyId = keyIdOf(given);
  if (!fingerprint || fingerprint.key_id === givenKeyId) return given;
  if (fingerprint.previous_key_id !== givenKeyId || fingerprint.bridge === null)
    throw new WrongEncryptionKey(fingerprint.key_id, givenKeyId);
  return openBridge(given, Buffer.from(fingerprint.bridge, 'hex'));
}

export interface CredentialCheck {
  /** The row's name in `kg_api.system_api_keys`. */
  row: string;
  ok: boolean;
  /** Why it does not open; null if it does. */
  reason: string | null;
}

/**
 * Tries to open every stored credential, all of one moment: a rotation that goes on meanwhile is seen whole or not at all.
 * @throws SchemaMissing, WrongEncryptionKey before any is tried, CredentialUnreadable for a bridge that does not open
 */
export async function openEveryCredential(
  db: Kysely<Tables>,
  encryptionKey: Secret,
): Promise<CredentialCheck[]> {
  const { fingerprint, keys } = await readConfigRows(db);
  const key = keyInForce(fingerprint, encryptionKey);
  return keys.map((row) => check(key, row.provider, Buffer.from(row.ciphertext, 'hex')));
}

function check(key: Secret, row: string, ciphertext: Uint8Array): CredentialCheck {
  try {
    openCredential(key, row, ciphertext);
    return { row, ok: true, reason: null };
  } catch (error) {
    if (!(error instanceof CredentialUnreadable)) throw error;
    return { row, ok: false, reason: error.reason };
  }
}

/**
 * Seals every credential anew, from key `from` to key `to`, opens each with `to`, and leaves the bridge: who has `from` reads and writes
 * with `to` until `finishRotation()`. `config_undo` is emptied, its rows would be of the old key. Again with the same keys it changes
 * nothing.
 * @returns how many credentials were sealed anew.
 * @throws WrongEncryptionKey, RotationUnfinished when another rotation's bridge stands, CredentialUnreadable
 */
export async function rotateEncryptionKey(
  trx: Transaction<Tables>,
  from: Secret,
  to: Secret,
): Promise<{ resealed: number }> {
  const [fromId, toId] = [keyIdOf(from), keyIdOf(to)];
  const stored = await readFingerprint(trx);
  const rows = await readCredentials(trx);
  if (stored?.key_id === toId) {
    for (const row of rows) openCredential(to, row.provider, row.ciphertext);
    return { resealed: 0 };
  }
  if (stored?.previous_key_id) throw new RotationUnfinished(stored.previous_key_id, stored.key_id);
  if (stored && stored.key_id !== fromId) throw new WrongEncryptionKey(stored.key_id, fromId);

  const resealed = [];
  for (const row of rows) {
    const plaintext = new Secret(openCredential(from, row.provider, row.ciphertext));
    const { ciphertext } = sealCredential(to, row.provider, plaintext);
    resealed.push({
      provider: row.provider,
      ciphertext: Buffer.from(ciphertext).toString('hex'),
      fingerprint: credentialFingerprint(to, plaintext),
    });
  }
  if (resealed.length > 0)
    await sql`UPDATE kg_api.system_api_keys k
                 SET key_id = ${toId}, ciphertext = decode(r.ciphertext, 'hex'), fingerprint = r.fingerprint
                FROM jsonb_to_recordset(${JSON.stringify(resealed)}::jsonb) AS r (provider text, ciphertext text, fingerprint text)
               WHERE k.provider = r.provider`.execute(trx);
  const bridge = { key_id: toId, previous_key_id: fromId, bridge: sealBridge(from, to) };
  await trx
    .insertInto('kg_api.key_fingerprint')
    .values(bridge)
    .onConflict((conflict) => conflict.column('singleton').doUpdateSet(bridge))
    .execute();
  await trx.deleteFrom('kg_api.config_undo').execute();
  for (const row of await readCredentials(trx)) openCredential(to, row.provider, row.ciphertext);
  return { resealed: resealed.length };
}

/** Drops the bridge: from now on only the new key opens anything. Again it changes nothing. */
export async function finishRotation(trx: Transaction<Tables>): Promise<{ finished: boolean }> {
  const stored = await readFingerprint(trx);
  if (!stored?.previous_key_id) return { finished: false };
  await trx.updateTable('kg_api.key_fingerprint').set({ previous_key_id: null, bridge: null }).execute();
  return { finished: true };
}

async function readFingerprint(db: Kysely<Tables>): Promise<ConfigRows['fingerprint']> {
  const row = await db
    .selectFrom('kg_api.key_fingerprint')
    .select(['key_id', 'previous_key_id', sql<string | null>`encode(bridge, 'hex')`.as('bridge')])
    .executeTakeFirst();
  return row ?? null;
}

function readCredentials(db: Kysely<Tables>) {
  return db
    .selectFrom('kg_api.system_api_keys')
    .select(['provider', 'ciphertext'])
    .orderBy('provider')
    .execute();
}
