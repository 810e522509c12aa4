import {
  credentialFingerprint,
  isFileStore,
  type ObjectStoreSettings,
  openCredential,
  Secret,
  sealCredential,
  type Tables,
} from '@kg-operator/config';
import type { Kysely, Transaction } from 'kysely';
import type { GarageAdmin } from '../adapters/garage.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { keyInForce } from './fingerprint.ts';
import { newAccessKeyId, newSecretKey, prepareBucket } from './garage.ts';
import { type Actor, changeConfig, recordChange } from './history.ts';
import { storedObjectStore } from './object-store.ts';

/*
 * A key on its way is a row of kg_api.system_api_keys whose name holds its access key id, so that no key of ours is ever unknown to us:
 *
 *   garage                 in use; its id is in the row `object_store` of kg_api.platform_settings
 *   garage/next/ID         made, and perhaps imported: to be used next
 *   garage/retiring/ID     not used any more: to be deleted in Garage
 */
const NEXT = 'garage/next/';
const RETIRING = 'garage/retiring/';

interface AccessKey {
  id: string;
  secret: Secret;
}

interface KeysOfOurs {
  settings: ObjectStoreSettings;
  next: AccessKey | null;
  retiring: AccessKey | null;
}

export interface KeyRotationInput extends Actor {
  encryptionKey: Secret;
  /** Asks the bucket over S3. */
  opensBucket(settings: ObjectStoreSettings, secretAccessKey: Secret): Promise<boolean>;
  /** Returns when no process of the platform uses the key before any more. */
  untilTakenUp(): Promise<void>;
}

/**
 * Replaces the S3 key: a new one is stored, imported and allowed; proven; put in use; then the one before is deleted, and proven dead. After
 * a kill at any point the next run completes that rotation, and begins none of its own.
 * @throws OperatorError NO_GARAGE_KEY, GARAGE_KEY_UNPROVEN, GARAGE_UNREACHABLE, GARAGE_REFUSED; WrongEncryptionKey, CredentialUnreadable
 */
export async function rotateGarageKey(
  db: Kysely<Tables>,
  garage: GarageAdmin,
  input: KeyRotationInput,
): Promise<{ accessKeyId: string; retired: string }> {
  const { settings, next } = await changeConfig(db, (trx) => stageNext(trx, input));
  if (next) {
    await prepareBucket(garage, { ...settings, accessKeyId: next.id }, next.secret);
    if (!(await input.opensBucket({ ...settings, accessKeyId: next.id }, next.secret)))
      throw unproven(`Garage does not accept the new key ${next.id}`);
    await changeConfig(db, (trx) => putInUse(trx, input, next.id));
  }
  const now = await changeConfig(db, (trx) => keysOfOurs(trx, input));
  if (!now.retiring) throw unproven('the key before is not known any more');
  await input.untilTakenUp();
  await garage.deleteKey(now.retiring.id);
  const before = { ...now.settings, accessKeyId: now.retiring.id };
  if ((await garage.findKey(before.accessKeyId)) || (await input.opensBucket(before, now.retiring.secret)))
    throw unproven(`Garage still accepts the key ${before.accessKeyId}`);
  await changeConfig(db, (trx) => remove(trx, RETIRING + before.accessKeyId));
  return { accessKeyId: now.settings.accessKeyId, retired: before.accessKeyId };
}

/** The key to be used next, made now unless a run before this one did; none when that run had gone further. */
async function stageNext(trx: Transaction<Tables>, input: KeyRotationInput): Promise<KeysOfOurs> {
  const keys = await keysOfOurs(trx, input);
  if (keys.next || keys.retiring) return keys;
  const next = { id: newAccessKeyId(), secret: newSecretKey() };
  await insert(trx, input, NEXT + next.id, next.secret);
  return { ...keys, next };
}

async function putInUse(trx: Transaction<Tables>, input: KeyRotationInput, expected: string): Promise<void> {
  const { settings, next } = await keysOfOurs(trx, input);
  // Another run has come further meanwhile.
  if (next?.id !== expected) return;
  const key = await keyInForce(trx, input.encryptionKey);
  await insert(trx, input, RETIRING + settings.accessKeyId, await stored(trx, key, 'garage'));
  const { keyId, ciphertext } = sealCredential(key, 'garage', next.secret);
  await trx
    .updateTable('kg_api.system_api_keys')
    .set({
      key_id: keyId,
      ciphertext,
      fingerprint: credentialFingerprint(key, next.secret),
      updated_at: new Date(),
    })
    .where('provider', '=', 'garage')
    .execute();
  await remove(trx, NEXT + next.id);
  await trx
    .updateTable('kg_api.platform_settings')
    .set({ value: JSON.stringify({ ...settings, accessKeyId: next.id }), updated_at: new Date() })
    .where('key', '=', 'object_store')
    .execute();
  await recordChange(trx, input, {
    topic: 'garage',
    action: 'rotate',
    subject: 'S3 key',
    before: { accessKeyId: settings.accessKeyId },
    after: { accessKeyId: next.id },
  });
}

async function keysOfOurs(trx: Transaction<Tables>, input: KeyRotationInput): Promise<KeysOfOurs> {
  const settings = await storedObjectStore(trx);
  if (!settings || isFileStore(settings)) {
    throw new OperatorError(
      'NO_GARAGE_KEY',
      'documents are not kept in Garage, so there is no key to rotate',
      {
        exitCode: EXIT.precondition,
        hint: settings ? 'files need no key' : './operator.sh config garage',
      },
    );
  }
  const rows = await trx
    .selectFrom('kg_api.system_api_keys')
    .select('provider')
    .where('provider', 'like', 'garage/%')
    .execute();
  const key = await keyInForce(trx, input.encryptionKey);
  const find = async (prefix: string): Promise<AccessKey | null> => {
    const row = rows.find(({ provider }) => provider.startsWith(prefix))?.provider;
    return row === undefined ? null : { id: row.slice(prefix.length), secret: await stored(trx, key, row) };
  };
  return { settings, next: await find(NEXT), retiring: await find(RETIRING) };
}

async function stored(trx: Transaction<Tables>, key: Secret, row: string): Promise<Secret> {
  const { ciphertext } = await trx
    .selectFrom('kg_api.system_api_keys')
    .select('ciphertext')
    .where('provider', '=', row)
    .executeTakeFirstOrThrow();
  return new Secret(openCredential(key, row, ciphertext));
}

async function insert(
  trx: Transaction<Tables>,
  input: KeyRotationInput,
  row: string,
  secret: Secret,
): Promise<void> {
  const key = await keyInForce(trx, input.encryptionKey);
  const { keyId, ciphertext } = sealCredential(key, row, secret);
  await trx
    .insertInto('kg_api.system_api_keys')
    .values({ provider: row, key_id: keyId, ciphertext, fingerprint: credentialFingerprint(key, secret) })
    .execute();
}

async function remove(trx: Transaction<Tables>, row: string): Promise<void> {
  await trx.deleteFrom('kg_api.system_api_keys').where('provider', '=', row).execute();
}

function unproven(what: string): OperatorError {
  return new OperatorError('GARAGE_KEY_UNPROVEN', what, {
    exitCode: EXIT.unhealthy,
    hint: './operator.sh config garage rotate-key goes on; see ./operator.sh logs garage',
  });
}
