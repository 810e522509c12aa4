import type { MigrationSession } from '../database/session.ts';
import type { Statement } from './statements.ts';
import type { Unit } from './units.ts';

/** What became of a statement whose end nobody saw: PostgreSQL or the runner died while it ran. */
export type Outcome = 'done' | 'not-done' | 'unknown';

/**
 * Finds out by the catalog, where that can tell, and where the statement may simply be run again.
 * An index under the name that CREATE INDEX CONCURRENTLY gave is whole if it is valid: it was recorded as begun when there was none.
 */
export async function findOutcome(session: MigrationSession, unit: Unit): Promise<Outcome> {
  const node = nodeOf(unit);
  if ('IndexStmt' in node) return (await findIndex(session, unit))?.valid ? 'done' : 'not-done';
  if ('DropStmt' in node) return (await dropTargetExists(session, unit)) ? 'not-done' : 'done';
  return isRepeatable(unit) ? 'not-done' : 'unknown';
}

/** Running it twice does the same as once: what it does is put in order again, or set to the same value. */
export function isRepeatable(unit: Unit): boolean {
  const node = nodeOf(unit);
  return [
    'IndexStmt',
    'DropStmt',
    'VacuumStmt',
    'ReindexStmt',
    'ClusterStmt',
    'AlterSystemStmt',
    'AlterDatabaseStmt',
    'DiscardStmt',
  ].some((name) => name in node);
}

/**
 * Drops what an unfinished CREATE INDEX or REINDEX CONCURRENTLY left: under the name that is to be built it would count as built or be in the
 * way, and the copies of a REINDEX would be written to by every change for ever. Returns the names of what was dropped.
 */
export async function dropInvalidIndexes(session: MigrationSession, unit: Unit): Promise<string[]> {
  const index = await findIndex(session, unit);
  const left = index ? (index.valid ? [] : [index.name]) : await unfinishedCopies(session, unit);
  for (const name of left) await session.query(`DROP INDEX CONCURRENTLY IF EXISTS ${name}`);
  return left;
}

/** https://www.postgresql.org/docs/17/sql-reindex.html#SQL-REINDEX-CONCURRENTLY: invalid, and named _ccnew or _ccold with a number behind. */
async function unfinishedCopies(session: MigrationSession, unit: Unit): Promise<string[]> {
  const node = nodeOf(unit);
  if (!('ReindexStmt' in node) || !node.ReindexStmt.relation) return [];
  const { schemaname, relname } = node.ReindexStmt.relation;
  const rows = await session.query<{ name: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name
       FROM pg_class named
       LEFT JOIN pg_index of ON of.indexrelid = named.oid
       JOIN pg_class t ON t.oid = coalesce(of.indrelid, named.oid)
       JOIN pg_index i ON i.indrelid IN (t.oid, t.reltoastrelid) AND NOT i.indisvalid
       JOIN pg_class c ON c.oid = i.indexrelid AND c.relname ~ '_cc(new|old)[0-9]*$'
       JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE named.oid = to_regclass($1)
      ORDER BY 1`,
    [qualified(schemaname, relname ?? '')],
  );
  return rows.map(({ name }) => name);
}

/** The index that a CREATE INDEX CONCURRENTLY builds, as the catalog has it. */
export async function findIndex(
  session: MigrationSession,
  unit: Unit,
): Promise<{ name: string; valid: boolean } | null> {
  const node = nodeOf(unit);
  if (!('IndexStmt' in node)) return null;
  const { idxname, relation } = node.IndexStmt;
  const [index] = await session.query<{ name: string; valid: boolean }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name, i.indisvalid AND i.indisready AS valid
       FROM pg_class t
       JOIN pg_namespace n ON n.oid = t.relnamespace
       JOIN pg_class c ON c.relnamespace = t.relnamespace AND c.relname = $2
       JOIN pg_index i ON i.indexrelid = c.oid AND i.indrelid = t.oid
      WHERE t.oid = to_regclass($1)`,
    [qualified(relation?.schemaname, relation?.relname ?? ''), idxname],
  );
  return index ?? null;
}

async function dropTargetExists(session: MigrationSession, unit: Unit): Promise<boolean> {
  const node = nodeOf(unit);
  if (!('DropStmt' in node)) return false;
  for (const object of node.DropStmt.objects ?? []) {
    const names = 'List' in object ? (object.List.items ?? []) : [];
    const parts = names.map((name) => ('String' in name ? (name.String.sval ?? '') : ''));
    const [row] = await session.query<{ exists: boolean }>('SELECT to_regclass($1) IS NOT NULL AS exists', [
      parts.map(quoteIdentifier).join('.'),
    ]);
    if (row?.exists) return true;
  }
  return false;
}

function qualified(schema: string | undefined, name: string): string {
  return [schema, name]
    .filter((part) => part !== undefined && part !== '')
    .map((part) => quoteIdentifier(part as string))
    .join('.');
}

function nodeOf({ statements }: Unit): Statement['node'] {
  return (statements[0] as Statement).node;
}

function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
