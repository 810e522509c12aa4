import { randomBytes } from 'node:crypto';
import {
  isFileStore,
  type ObjectStoreSettings,
  openCredential,
  Secret,
  type Tables,
} from '@kg-operator/config';
import type { Kysely } from 'kysely';
import type { GarageAdmin } from '../adapters/garage.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { setApiKeyIn } from './api-key.ts';
import { ensureFingerprint, keyInForce } from './fingerprint.ts';
import { type Actor, type Change, changeConfig } from './history.ts';
import { storedObjectStore, storeObjectStore } from './object-store.ts';

const BUCKET = 'kg-documents';
const KEY_NAME = 'kg-platform';
const ZONE = 'local';
// Weighs nodes against each other when partitions are assigned; with one node it limits nothing.
const CAPACITY_BYTES = 1_000_000_000_000;

interface ObjectStoreInput extends Actor {
  encryptionKey: Secret;
  endpoint: string;
}

/**
 * Makes a single-node Garage ready: layout, key, bucket, permission. Every half-done state is completed, and a second run changes nothing.
 * The credentials are ours and stored (encrypted) before Garage learns them, so a lost Garage volume can be given the same key again.
 * @throws OperatorError GARAGE_UNREACHABLE, GARAGE_REFUSED, GARAGE_NOT_SINGLE
 */
export async function configureObjectStore(
  db: Kysely<Tables>,
  garage: GarageAdmin,
  input: ObjectStoreInput,
): Promise<Change & ObjectStoreSettings> {
  await ensureFingerprint(db, input.encryptionKey);
  const nodeAssigned = await assignSingleNode(garage);
  const { settings, secretAccessKey, changed } = await storeCredentials(db, input);
  const prepared = await prepareBucket(garage, settings, secretAccessKey);
  return { ...settings, changed: nodeAssigned || changed || prepared };
}

async function assignSingleNode(garage: GarageAdmin): Promise<boolean> {
  const { layoutVersion, nodes } = await garage.clusterStatus();
  if (nodes.some(({ hasRole }) => hasRole)) return false;
  const [node] = nodes.filter(({ isUp }) => isUp);
  if (!node || nodes.length > 1) {
    throw new OperatorError('GARAGE_NOT_SINGLE', `Garage knows ${nodes.length} nodes and none has a role`, {
      exitCode: EXIT.precondition,
      hint: 'lay the cluster out by hand (garage layout), then run this again',
    });
  }
  await garage.assignNode({ id: node.id, zone: ZONE, capacityBytes: CAPACITY_BYTES }, layoutVersion + 1);
  return true;
}

async function storeCredentials(db: Kysely<Tables>, input: ObjectStoreInput) {
  return changeConfig(db, async (trx) => {
    const stored = await storedObjectStore(trx);
    const credential = await trx
      .selectFrom('kg_api.system_api_keys')
      .select('ciphertext')
      .where('provider', '=', 'garage')
      .executeTakeFirst();
    const before = stored && !isFileStore(stored) ? stored : undefined;
    const encryptionKey = await keyInForce(trx, input.encryptionKey);
    const kept =
      before && credential && new Secret(openCredential(encryptionKey, 'garage', credential.ciphertext));
    if (kept && before.endpoint === input.endpoint)
      return { settings: before, secretAccessKey: kept, changed: false };
    const secretAccessKey = kept ?? newSecretKey();
    const settings: ObjectStoreSettings = {
      endpoint: input.endpoint,
      region: 'garage',
      bucket: before?.bucket ?? BUCKET,
      accessKeyId: kept ? before.accessKeyId : newAccessKeyId(),
    };
    await storeObjectStore(trx, input, stored, settings);
    await setApiKeyIn(trx, {
      provider: 'garage',
      key: secretAccessKey,
      encryptionKey: input.encryptionKey,
      actor: input.actor,
    });
    return { settings, secretAccessKey, changed: true };
  });
}

/** Garage's own form: "GK" and 12 random bytes, in hexadecimal. */
export function newAccessKeyId(): string {
  return `GK${randomBytes(12).toString('hex')}`;
}

/** Garage's own form: 32 random bytes, in hexadecimal. */
export function newSecretKey(): Secret {
  return new Secret(randomBytes(32).toString('hex'));
}

/** Key, bucket and permission; returns whether any was missing. @throws OperatorError GARAGE_UNREACHABLE, GARAGE_REFUSED */
export async function prepareBucket(
  garage: GarageAdmin,
  { accessKeyId, bucket: alias }: Pick<ObjectStoreSettings, 'accessKeyId' | 'bucket'>,
  secretAccessKey: Secret,
): Promise<boolean> {
  let changed = false;
  if (!(await garage.findKey(accessKeyId))) {
    await garage.importKey({ accessKeyId, secretAccessKey, name: KEY_NAME });
    changed = true;
  }
  const found = await garage.findBucket(alias);
  const { id } = found ?? (await garage.createBucket(alias));
  if (!isAllowed(found, accessKeyId)) {
    await garage.allowKey(id, accessKeyId);
    changed = true;
  }
  if (changed && !isAllowed(await garage.findBucket(alias), accessKeyId)) {
    throw new OperatorError('GARAGE_REFUSED', `Garage took the key but does not show it on bucket ${alias}`, {
      exitCode: EXIT.unhealthy,
      hint: 'run ./operator.sh config garage again, then ./operator.sh logs garage',
    });
  }
  return changed;
}

export function isAllowed(
  bucket: Awaited<ReturnType<GarageAdmin['findBucket']>>,
  accessKeyId: string,
): boolean {
  return Boolean(bucket?.keys.some((key) => key.accessKeyId === accessKeyId && key.read && key.write));
}
