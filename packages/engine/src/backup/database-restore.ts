import pg from 'pg';
import { EXIT, OperatorError } from '../model/errors.ts';
import { rowsOf } from './database-connection.ts';
import type { DatabaseManifest, DumpedGraph, DumpedSequence, DumpedSetting } from './format.ts';

/**
 * Whether the owner of the dumped database is a role here. If not, everything will belong to the one who restores.
 * @throws OperatorError RESTORE_IMPOSSIBLE when that would mix it with what belongs to others
 */
export async function hasOwner(client: pg.Client, { owner, roles }: DatabaseManifest): Promise<boolean> {
  const [found] = await rowsOf(client, 'SELECT FROM pg_catalog.pg_roles WHERE rolname = $1', [owner]);
  if (!found && roles.length > 0)
    throw new OperatorError(
      'RESTORE_IMPOSSIBLE',
      `there is no role ${owner} here, and not all in the backup belongs to it`,
      { exitCode: EXIT.precondition, hint: `create it: CREATE ROLE ${pg.escapeIdentifier(owner)}` },
    );
  return found !== undefined;
}

/** Makes the roles that are missing, without a login; a role belongs to the whole server. Returns their names. */
export async function createRoles(client: pg.Client, roles: string[]): Promise<string[]> {
  const found = await rowsOf<{ name: string }>(client, 'SELECT rolname AS name FROM pg_catalog.pg_roles');
  const missing = roles.filter((role) => !found.some(({ name }) => name === role));
  for (const role of missing) await client.query(`CREATE ROLE ${pg.escapeIdentifier(role)} NOLOGIN`);
  return missing;
}

/**
 * Tells AGE of the graphs, whose schemas and tables are there already. Its catalog refers to them by oid, so a dump of it would be
 * wrong in every other database.
 * https://github.com/apache/age/blob/PG17/v1.5.0/sql/age_main.sql
 */
export async function insertGraphs(client: pg.Client, graphs: DumpedGraph[]): Promise<void> {
  if (graphs.length === 0) return;
  await client.query('BEGIN');
  for (const graph of graphs) {
    await client.query(
      `INSERT INTO ag_catalog.ag_graph (graphid, name, namespace)
       SELECT n.oid, $1, n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = $2`,
      [graph.name, graph.schema],
    );
    const { rowCount } = await client.query(
      `INSERT INTO ag_catalog.ag_label (name, graph, id, kind, relation, seq_name)
       SELECT l.label, n.oid, l.id, l.kind::ag_catalog.label_kind, c.oid, l.sequence
       FROM json_to_recordset($1) AS l(label name, id int, kind text, "table" name, sequence name)
       JOIN pg_catalog.pg_namespace n ON n.nspname = $2
       JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = l."table"`,
      [JSON.stringify(graph.labels), graph.schema],
    );
    if (rowCount !== graph.labels.length)
      throw new Error(`graph ${graph.name}: ${rowCount} of its ${graph.labels.length} labels have a table`);
  }
  await client.query('COMMIT');
}

/** Sets every sequence to where it stood. */
export async function setSequences(client: pg.Client, sequences: DumpedSequence[]): Promise<void> {
  await client.query(
    `SELECT pg_catalog.setval(format('%I.%I', schema, name)::regclass, "lastValue", "isCalled")
     FROM json_to_recordset($1) AS s(schema text, name text, "lastValue" bigint, "isCalled" boolean)`,
    [JSON.stringify(sequences)],
  );
}

// Lists of names: PostgreSQL keeps them quoted, so they must not be quoted once more. GUC_LIST_QUOTE in
// https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/utils/misc/guc_tables.c
const LISTS = ['search_path', 'local_preload_libraries', 'session_preload_libraries', 'temp_tablespaces'];

/** Settings that belong to the database, or to a role in it. */
export async function setDatabaseSettings(client: pg.Client, settings: DumpedSetting[]): Promise<void> {
  const [row] = await rowsOf<{ name: string }>(client, 'SELECT current_database() AS name');
  const database = `DATABASE ${pg.escapeIdentifier((row as { name: string }).name)}`;
  for (const { role, name, value } of settings) {
    const target = role === undefined ? database : `ROLE ${pg.escapeIdentifier(role)} IN ${database}`;
    const variable = name.split('.').map(pg.escapeIdentifier).join('.');
    const text = LISTS.includes(name) ? value || "''" : pg.escapeLiteral(value);
    await client.query(`ALTER ${target} SET ${variable} TO ${text}`);
  }
}
