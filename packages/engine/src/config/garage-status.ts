import { isFileStore, type Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import type { GarageAdmin, GarageBucket, GarageNode } from '../adapters/garage.ts';
import { OperatorError } from '../model/errors.ts';
import { isAllowed } from './garage.ts';

/** Object storage as configured, and as Garage has it. */
export interface GarageStatus {
  store: 'garage' | 'files' | 'not configured';
  endpoint: string | null;
  accessKeyId: string | null;
  /** A rotation of the key was begun and not finished. */
  rotating: boolean;
  /** Null: documents are files, there is nobody to reach. */
  reachable: boolean | null;
  /** Why it is not reachable. */
  reason: string | null;
  layoutVersion: number | null;
  nodes: GarageNode[];
  /** Null: not reachable, or no such bucket. `keyAllowed`: our key may read and write. */
  bucket: { name: string; objects: number; bytes: number; keyAllowed: boolean } | null;
}

/** Asks both; an unreachable Garage is an answer, not an error. */
export async function garageStatus(db: Kysely<Tables>, garage: () => GarageAdmin): Promise<GarageStatus> {
  const settings = (
    await db
      .selectFrom('kg_api.platform_settings')
      .select('value')
      .where('key', '=', 'object_store')
      .executeTakeFirst()
  )?.value as { endpoint: string; bucket: string; accessKeyId: string } | undefined;
  const files = settings !== undefined && isFileStore(settings);
  const known = {
    store: settings ? (files ? 'files' : 'garage') : 'not configured',
    endpoint: settings?.endpoint ?? null,
    accessKeyId: settings?.accessKeyId || null,
    rotating: await isRotating(db),
  } as const;
  const unseen = { layoutVersion: null, nodes: [], bucket: null };
  if (files) return { ...known, reachable: null, reason: null, ...unseen };
  try {
    const admin = garage();
    const { layoutVersion, nodes } = await admin.clusterStatus();
    const bucket = settings ? await admin.findBucket(settings.bucket) : null;
    return {
      ...known,
      reachable: true,
      reason: null,
      layoutVersion,
      nodes,
      bucket: settings && bucket ? describeBucket(bucket, settings) : null,
    };
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return { ...known, reachable: false, reason: error.message, ...unseen };
  }
}

function describeBucket(bucket: GarageBucket, settings: { bucket: string; accessKeyId: string }) {
  const { objects, bytes } = bucket;
  return { name: settings.bucket, objects, bytes, keyAllowed: isAllowed(bucket, settings.accessKeyId) };
}

async function isRotating(db: Kysely<Tables>): Promise<boolean> {
  const row = await db
    .selectFrom('kg_api.system_api_keys')
    .select('provider')
    .where('provider', 'like', 'garage/%')
    .executeTakeFirst();
  return row !== undefined;
}
