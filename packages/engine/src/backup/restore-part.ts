import {
  type ConnectionSettings,
  changeConfig,
  openDatabase,
  recordChange,
  type Tables,
} from '@kg-operator/config';
import { sql, type Transaction } from 'kysely';
import { commandActor } from '../config/actor.ts';
import type { RunContext } from '../run/context.ts';
import { readBundle } from './bundle.ts';
import { documentBucket } from './installation.ts';
import { objectUpdater } from './objects.ts';
import { bundleToRestore } from './restore.ts';
import { siteOf } from './site.ts';

/** Puts objects back into the live bucket, those that are missing or differ; what is there besides stays. */
export async function restoreObjects(context: RunContext, report: (line: string) => void): Promise<void> {
  const { file, checked } = await bundleToRestore(context);
  const { bucket } = await documentBucket(context);
  const objects = objectUpdater(bucket, checked.manifest.members);
  await readBundle(await file.open(), file.identities, async (member) => {
    if (member.name.startsWith('objects/')) await objects.take(member);
  });
  const { written, same } = await objects.finish();
  report(`${written} put back, ${same} were the same`);
}

/** The rows of layer 3, but for what belongs to this installation: its key, its object store, its history. */
const CONFIGURATION = [
  'users',
  'ai_provider_config',
  'embedding_config',
  'system_api_keys',
  'platform_settings',
] as const;
const OWN_SETTINGS = ['object_store'];
const OWN_CREDENTIALS = ['garage', 'oauth-signing-key/previous'];

/**
 * Replaces the configuration by that of the backup, in one transaction, by way of a database that is loaded beside and removed again. Loading
 * it has made its credentials this installation's.
 */
export async function restoreConfiguration(
  context: RunContext,
  database: string,
  report: (line: string) => void,
): Promise<void> {
  await siteOf(context).withLoaded(database, report, (connection) => takeConfiguration(context, connection));
}

async function takeConfiguration(context: RunContext, connection: ConnectionSettings): Promise<void> {
  const beside = openDatabase(connection, { max: 1 });
  try {
    const { checked } = await bundleToRestore(context);
    await changeConfig(context.configDatabase(), async (trx) => {
      for (const table of CONFIGURATION) {
        const { rows } = await sql<{
          row: string;
        }>`SELECT to_jsonb(t)::text AS row FROM ${sql.table(`kg_api.${table}`)} AS t`.execute(beside);
        await replaceRows(
          trx,
          table,
          rows.map(({ row }) => JSON.parse(row) as Record<string, unknown>),
        );
      }
      await recordChange(
        trx,
        { actor: commandActor() },
        {
          topic: 'backup',
          action: 'restore',
          subject: `configuration of ${checked.manifest.id}`,
          before: null,
          after: { madeAt: checked.manifest.createdAt },
        },
      );
    });
  } finally {
    await beside.destroy();
  }
}

async function replaceRows(
  trx: Transaction<Tables>,
  table: (typeof CONFIGURATION)[number],
  rows: Record<string, unknown>[],
): Promise<void> {
  const name = sql.table(`kg_api.${table}`);
  const [column, own] =
    table === 'system_api_keys'
      ? ['provider', OWN_CREDENTIALS]
      : table === 'platform_settings'
        ? ['key', OWN_SETTINGS]
        : [null, []];
  if (column) await sql`DELETE FROM ${name} WHERE ${sql.ref(column)} <> ALL (${own})`.execute(trx);
  else await sql`DELETE FROM ${name}`.execute(trx);
  const taken = rows.filter((row) => column === null || !own.includes(String(row[column])));
  if (taken.length === 0) return;
  await sql`INSERT INTO ${name} OVERRIDING SYSTEM VALUE
    SELECT * FROM jsonb_populate_recordset(NULL::${name}, ${JSON.stringify(taken)}::jsonb)`.execute(trx);
}
