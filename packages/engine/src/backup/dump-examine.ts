import { basename } from 'node:path';
import {
  type ConnectionSettings,
  keyIdOf,
  openDatabase,
  type Secret,
  type Tables,
} from '@kg-operator/config';
import { type Kysely, sql } from 'kysely';
import { listMigrationIds } from '../migrations/files.ts';
import { type LedgerEntry, readEntries } from '../migrations/ledger.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { DumpFile } from './dump-file.ts';
import { allAtOnce } from './findings.ts';
import type { BundleHeader } from './make.ts';

/**
 * Looks whether a loaded dump is a database of this platform, of a schema that this engine knows, with credentials that are sealed with
 * `key`. Returns what is known of it.
 * @throws OperatorError DUMP_INCOMPLETE, SCHEMA_NEWER, WRONG_ENCRYPTION_KEY: the first, the others in its details
 */
export async function examineDump(
  connection: ConnectionSettings,
  file: DumpFile,
  key: Secret,
): Promise<BundleHeader> {
  const db = openDatabase(connection, { max: 1 });
  try {
    const name = basename(file.path);
    const entries = await readEntries({ query: async <Row>(text: string) => await rowsOf<Row>(db, text) });
    const known = new Set(await listMigrationIds());
    const unknown = entries.filter(({ id }) => !known.has(id));
    const lost = await graphsWithoutCatalog(db);
    const keys = await keysOf(db);
    const findings: OperatorError[] = [];
    if (entries.length === 0 || keys === null)
      findings.push(incomplete(`${name} does not hold the tables of this platform (kg_operator and kg_api)`));
    if (lost.length > 0)
      findings.push(
        incomplete(`${name} has the tables of graph ${lost.join(', ')} but not what AGE knows of it`),
      );
    if (unknown.length > 0) findings.push(schemaNewer(name, unknown));
    if (keys?.stored && ![keys.stored, keys.previous].includes(keyIdOf(key)))
      findings.push(wrongKey(name, keys.stored, keyIdOf(key)));
    allAtOnce(findings);
    return {
      formatVersion: 1,
      id: name,
      createdAt: file.modifiedAt.toISOString(),
      project: '',
      engineVersion: 'pg_dump',
      mode: 'containers',
      schemaHead: entries.filter(({ state }) => state !== 'running').at(-1)?.id ?? null,
      keyId: keyIdOf(key),
      images: {},
    };
  } finally {
    await db.destroy();
  }
}

async function rowsOf<Row>(db: Kysely<Tables>, text: string): Promise<Row[]> {
  return (await sql.raw(text).execute(db)).rows as Row[];
}

/** Ids of the keys that its credentials are sealed with; null without the tables of layer 3. By a schema as old as the first one. */
async function keysOf(
  db: Kysely<Tables>,
): Promise<{ stored: string | null; previous: string | null } | null> {
  const [there] = await rowsOf<{ tables: number }>(
    db,
    `SELECT count(to_regclass('kg_api.' || name))::int AS tables
     FROM unnest(ARRAY['users', 'platform_settings', 'system_api_keys', 'key_fingerprint', 'documents']) AS name`,
  );
  if (there?.tables !== 5) return null;
  const [row] = await rowsOf<{ key: { key_id: string; previous_key_id?: string | null } }>(
    db,
    'SELECT to_jsonb(f) AS key FROM kg_api.key_fingerprint f',
  );
  return { stored: row?.key.key_id ?? null, previous: row?.key.previous_key_id ?? null };
}

/** `pg_dump -n GRAPH` leaves AGE's own tables out, and nothing complains. */
async function graphsWithoutCatalog(db: Kysely<Tables>): Promise<string[]> {
  const [age] = await rowsOf(db, `SELECT FROM pg_catalog.pg_extension WHERE extname = 'age'`);
  const listed = age ? 'AND NOT EXISTS (SELECT FROM ag_catalog.ag_graph g WHERE g.namespace = n.oid)' : '';
  const rows = await rowsOf<{ name: string }>(
    db,
    `SELECT n.nspname AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relname = '_ag_label_vertex' ${listed} ORDER BY 1`,
  );
  return rows.map(({ name }) => name);
}

function incomplete(message: string): OperatorError {
  return new OperatorError('DUMP_INCOMPLETE', message, {
    exitCode: EXIT.precondition,
    hint: 'dump the whole database, without --schema and --table: pg_dump -f backup.sql kg',
  });
}

function schemaNewer(name: string, unknown: Pick<LedgerEntry, 'id'>[]): OperatorError {
  const ids = unknown.map(({ id }) => id).join(', ');
  return new OperatorError('SCHEMA_NEWER', `${name} has schema ${ids}, which this engine does not know`, {
    exitCode: EXIT.schema,
    hint: 'use the engine that the platform ran with, or a newer one; nothing was changed',
  });
}

function wrongKey(name: string, stored: string, given: string): OperatorError {
  return new OperatorError(
    'WRONG_ENCRYPTION_KEY',
    `the credentials in ${name} are sealed with key ${stored}; the ENCRYPTION_KEY given is key ${given}`,
    {
      exitCode: EXIT.configuration,
      hint: 'give the .env of the installation that was dumped: --encryption-key-file FILE; its credentials are then sealed anew with the key of this one',
    },
  );
}
