import { createHash } from 'node:crypto';
import { GetObjectCommand, paginateListObjectsV2 } from '@aws-sdk/client-s3';
import type { DocumentStore } from './filling.ts';
import type { Installation } from './installation.ts';

/** What a restore itself changes: its own line of history, and where the documents are now. */
const CHANGED_BY_RESTORE = [
  'kg_api.config_history',
  'kg_api.config_version',
  'kg_api.config_undo',
  'kg_api.platform_settings',
];

/** Of every table its number of rows and a sum over all its rows, in any order, but for what a restore changes. */
export async function rowDigests(installation: Installation): Promise<string[]> {
  return withoutRestore(await allRowDigests(installation));
}

/** Lines of allRowDigests() that a restore does not change. */
export function withoutRestore(lines: string[]): string[] {
  return lines.filter((line) => !CHANGED_BY_RESTORE.includes(line.split('|')[0] ?? ''));
}

/** The same of all tables. */
export function allRowDigests(installation: Installation): Promise<string[]> {
  return installation.psql(
    `SELECT format('SELECT %L, count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM ONLY %s AS t', c.oid::regclass, c.oid::regclass)
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'ag_catalog')
      ORDER BY c.oid::regclass::text \\gexec
     SELECT key, value FROM kg_api.platform_settings WHERE key <> 'object_store' ORDER BY key;
     SELECT l.name, l.kind, l.id FROM ag_catalog.ag_label l JOIN ag_catalog.ag_graph g ON g.graphid = l.graph ORDER BY g.name, l.id;`,
  );
}

/** Of every object its name, type, metadata and SHA-256. */
export async function objectDigests({ client, bucket }: DocumentStore): Promise<string[]> {
  const digests: string[] = [];
  for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket: bucket }))
    for (const { Key } of Contents) {
      const { Body, ContentType, Metadata } = await client.send(
        new GetObjectCommand({ Bucket: bucket, Key }),
      );
      const hash = createHash('sha256');
      for await (const chunk of Body as AsyncIterable<Uint8Array>) hash.update(chunk);
      digests.push(JSON.stringify([Key, ContentType, Metadata, hash.digest('hex')]));
    }
  return digests.sort();
}
