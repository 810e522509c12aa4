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
import { ensureFingerprint } from './fingerprint.ts';
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
    if (stored && credential && stored.endpoint === input.endpoint) {
      return {
        settings: stored,
        secretAccessKey: new Secret(
          await openCredential(input.encryptionKey, 'garage', credential.ciphertext),
        ),
        changed: false,
      };
    }
    // Garage's own form: "GK" and 12 random bytes, and 32 random bytes, in hexadecimal.
    const before = stored && !isFileStore(stored) ? stored : undefined;
    const keep = before && credential;
    const accessKeyId = keep ? before.accessKeyId : `GK${randomBytes(12).toString('hex')}`;
    const secretAccessKey = new Secret(
      keep
        ? await openCredential(input.encryptionKey, 'garage', credential.ciphertext)
        : randomBytes(32).toString('hex'),
    );
    const settings: ObjectStoreSettings = {
      endpoint: input.endpoint,
      region: 'garage',
      bucket: before?.bucket ?? BUCKET,
      accessKeyId,
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

async function prepareBucket(
  garage: GarageAdmin,
  { accessKeyId, bucket: alias }: ObjectStoreSettings,
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

function isAllowed(bucket: Awaited<ReturnType<GarageAdmin['findBucket']>>, accessKeyId: string): boolean {
  return Boolean(bucket?.keys.some((key) => key.accessKeyId === accessKeyId && key.read && key.write));
}
