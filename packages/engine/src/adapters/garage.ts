import type { Secret } from '@kg-operator/config';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';

/**
 * The part of Garage's admin API v2 that bootstrapping a single node needs.
 * https://garagehq.deuxfleurs.fr/api/garage-admin-v2.html; measured against Garage 2.3.0.
 */
export interface GarageAdmin {
  clusterStatus(): Promise<{ layoutVersion: number; nodes: GarageNode[] }>;
  /** Stages a role for one node and applies it as layout `version`. */
  assignNode(node: { id: string; zone: string; capacityBytes: number }, version: number): Promise<void>;
  /** The key's name, or null when there is no such key. */
  findKey(accessKeyId: string): Promise<{ name: string } | null>;
  importKey(key: { accessKeyId: string; secretAccessKey: Secret; name: string }): Promise<void>;
  /** The same when there is no such key. */
  deleteKey(accessKeyId: string): Promise<void>;
  /** The bucket with this global alias and the keys allowed on it, or null. */
  findBucket(alias: string): Promise<GarageBucket | null>;
  createBucket(alias: string): Promise<{ id: string }>;
  /** What the bucket with this global alias is set to, or null. */
  bucketSettings(alias: string): Promise<BucketSettings | null>;
  /** Sets website and quotas; aliases and keys are not changed. */
  setBucket(bucketId: string, settings: Pick<BucketSettings, 'website' | 'quotas'>): Promise<void>;
  allowKey(bucketId: string, accessKeyId: string): Promise<void>;
  /** Every bucket that has a global alias. */
  listBuckets(): Promise<{ id: string; alias: string }[]>;
  /** Only an empty one. */
  deleteBucket(bucketId: string): Promise<void>;
}

export interface GarageNode {
  id: string;
  hasRole: boolean;
  isUp: boolean;
  /** Null without a role. */
  zone: string | null;
  /** Bytes; null without a role, or as a gateway. */
  capacity: number | null;
  /** Bytes of the file system that objects are on; null where Garage does not tell. */
  disk: { available: number; total: number } | null;
}

/** What a bucket is set to. */
export interface BucketSettings {
  globalAliases: string[];
  /** Null: it is no website. */
  website: { indexDocument: string; errorDocument: string | null } | null;
  /** Null: no limit. Bytes. */
  quotas: { maxSize: number | null; maxObjects: number | null };
  keys: {
    accessKeyId: string;
    name: string;
    permissions: { read: boolean; write: boolean; owner: boolean };
    localAliases: string[];
  }[];
}

export interface GarageBucket {
  id: string;
  keys: { accessKeyId: string; read: boolean; write: boolean; owner: boolean }[];
  objects: number;
  bytes: number;
}

interface StatusResponse {
  layoutVersion: number;
  nodes: {
    id: string;
    isUp: boolean;
    role?: { zone: string; capacity: number | null } | null;
    dataPartition?: { available: number; total: number } | null;
  }[];
}
interface BucketResponse {
  id: string;
  keys: {
    accessKeyId: string;
    name: string;
    permissions: { read: boolean; write: boolean; owner: boolean };
    bucketLocalAliases?: string[];
  }[];
  objects: number;
  bytes: number;
  globalAliases: string[];
  websiteAccess: boolean;
  websiteConfig?: { indexDocument: string; errorDocument?: string | null } | null;
  quotas: { maxSize: number | null; maxObjects: number | null };
}

/** Garage does not accept our token. */
export class GarageTokenRefused extends OperatorError {
  constructor(operation: string | undefined) {
    super('GARAGE_REFUSED', `Garage refused ${operation}: it does not accept GARAGE_ADMIN_TOKEN`, {
      exitCode: EXIT.unhealthy,
      hint: 'restore the .env that this Garage was started with, or restart it after a change',
    });
  }
}

/** Garage's admin API over HTTP. Every method throws OperatorError GARAGE_UNREACHABLE or GARAGE_REFUSED. */
export function garageAdmin(baseUrl: string, token: Secret): GarageAdmin {
  async function call<T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T | null> {
    const operation = path.split('?')[0];
    let response: Response;
    try {
      response = await fetch(`${baseUrl}/v2/${path}`, {
        method,
        headers: { authorization: `Bearer ${token.reveal()}`, 'content-type': 'application/json' },
        signal: AbortSignal.timeout(15_000),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      throw new OperatorError(
        'GARAGE_UNREACHABLE',
        `Garage at ${baseUrl} can't be reached: ${reason(error)}`,
        {
          exitCode: EXIT.unhealthy,
          hint: 'start it with ./operator.sh start --infra-only',
          cause: error,
        },
      );
    }
    if (response.status === 404) return null;
    if (response.status === 401 || response.status === 403) throw new GarageTokenRefused(operation);
    // The body of a refusal names the problem; it may repeat the request, which can hold a secret key, so only its message is kept.
    if (!response.ok)
      throw refused(operation, `HTTP ${response.status} ${errorMessage(await response.text())}`);
    const text = await response.text();
    return (text === '' ? {} : JSON.parse(text)) as T;
  }

  async function must<T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T> {
    const result = await call<T>(method, path, body);
    if (result === null) throw refused(path.split('?')[0], 'HTTP 404');
    return result;
  }

  return {
    async clusterStatus() {
      const status = await must<StatusResponse>('GET', 'GetClusterStatus');
      const nodes = status.nodes.map(({ id, isUp, role, dataPartition }) => ({
        id,
        isUp,
        hasRole: role !== null && role !== undefined,
        zone: role?.zone ?? null,
        capacity: role?.capacity ?? null,
        disk: dataPartition ?? null,
      }));
      return { layoutVersion: status.layoutVersion, nodes };
    },
    async assignNode({ id, zone, capacityBytes }, version) {
      await must('POST', 'UpdateClusterLayout', { roles: [{ id, zone, capacity: capacityBytes, tags: [] }] });
      await must('POST', 'ApplyClusterLayout', { version });
    },
    async findKey(accessKeyId) {
      return call<{ name: string }>('GET', `GetKeyInfo?id=${encodeURIComponent(accessKeyId)}`);
    },
    async importKey({ accessKeyId, secretAccessKey, name }) {
      await must('POST', 'ImportKey', { accessKeyId, secretAccessKey: secretAccessKey.reveal(), name });
    },
    async deleteKey(accessKeyId) {
      await call('POST', `DeleteKey?id=${encodeURIComponent(accessKeyId)}`);
    },
    async findBucket(alias) {
      const bucket = await call<BucketResponse>(
        'GET',
        `GetBucketInfo?globalAlias=${encodeURIComponent(alias)}`,
      );
      return (
        bucket && {
          id: bucket.id,
          keys: bucket.keys.map(({ accessKeyId, permissions }) => ({ accessKeyId, ...permissions })),
          objects: bucket.objects,
          bytes: bucket.bytes,
        }
      );
    },
    async createBucket(alias) {
      return must<{ id: string }>('POST', 'CreateBucket', { globalAlias: alias });
    },
    async bucketSettings(alias) {
      const bucket = await call<BucketResponse>(
        'GET',
        `GetBucketInfo?globalAlias=${encodeURIComponent(alias)}`,
      );
      return bucket && settingsOf(bucket);
    },
    async setBucket(bucketId, { website, quotas }) {
      await must('POST', `UpdateBucket?id=${encodeURIComponent(bucketId)}`, {
        websiteAccess: { enabled: website !== null, ...website },
        quotas,
      });
    },
    async allowKey(bucketId, accessKeyId) {
      await must('POST', 'AllowBucketKey', {
        bucketId,
        accessKeyId,
        permissions: { read: true, write: true, owner: false },
      });
    },
    async listBuckets() {
      const buckets = await must<{ id: string; globalAliases: string[] }[]>('GET', 'ListBuckets');
      return buckets.flatMap(({ id, globalAliases }) => globalAliases.map((alias) => ({ id, alias })));
    },
    async deleteBucket(bucketId) {
      // Answers `null`, and 404 when it is gone already: both are what was wanted.
      await call('POST', `DeleteBucket?id=${encodeURIComponent(bucketId)}`);
    },
  };
}

function settingsOf({
  globalAliases,
  websiteAccess,
  websiteConfig,
  quotas,
  keys,
}: BucketResponse): BucketSettings {
  const { indexDocument = 'index.html', errorDocument = null } = websiteConfig ?? {};
  return {
    globalAliases,
    website: websiteAccess ? { indexDocument, errorDocument } : null,
    quotas: { maxSize: quotas.maxSize ?? null, maxObjects: quotas.maxObjects ?? null },
    keys: keys.map(({ accessKeyId, name, permissions, bucketLocalAliases = [] }) => ({
      accessKeyId,
      name,
      permissions,
      localAliases: bucketLocalAliases,
    })),
  };
}

function refused(operation: string | undefined, why: string): OperatorError {
  return new OperatorError('GARAGE_REFUSED', `Garage refused ${operation}: ${why}`, {
    exitCode: EXIT.unhealthy,
    hint: 'see ./operator.sh logs garage',
  });
}

function errorMessage(body: string): string {
  try {
    return String((JSON.parse(body) as { message?: unknown }).message ?? '').slice(0, 200);
  } catch {
    return ''; // not JSON: nothing that is safe to repeat
  }
}

/** fetch wraps the cause of a failed connection. */
function reason(error: unknown): string {
  return messageOf((error as { cause?: unknown }).cause ?? error);
}
