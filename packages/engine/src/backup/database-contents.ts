import pg from 'pg';
import { EXIT, OperatorError } from '../model/errors.ts';
import { qualified, rowsOf } from './database-connection.ts';
import type { DumpedGraph, DumpedLabel, DumpedSequence, DumpedTable } from './format.ts';

/** What there is in a database, read from its catalog. */
export interface TableInfo {
  oid: number;
  schema: string;
  name: string;
  columns: string[];
  condition: string | null;
  /** Bytes on disk, without indexes. */
  size: number;
}

/** SQL: the schema `n` is neither PostgreSQL's nor a session's own. */
export const OWN_SCHEMA = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

/** SQL: an extension made the object. */
export function ofExtension(catalog: string, oid: string): string {
  return `EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.${catalog}'::regclass AND d.objid = ${oid}
    AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e')`;
}

/**
 * Every table with rows of its own, largest first: ordinary ones and the leaves of partitioned ones. Of an extension's tables those it
 * declared as configuration (pg_extension_config_dump); AGE's two are not among them, they are restored by name.
 */
export async function readTables(client: pg.Client): Promise<TableInfo[]> {
  return await rowsOf<TableInfo>(
    client,
    `SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, x.condition, pg_catalog.pg_table_size(c.oid)::float8 AS size,
       (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN LATERAL (SELECT e.extcondition[array_position(e.extconfig, c.oid)] AS condition FROM pg_catalog.pg_extension e
       WHERE c.oid = ANY (e.extconfig) AND e.extname <> 'age') x ON true
     WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND ${OWN_SCHEMA}
       AND (x.condition IS NOT NULL OR NOT ${ofExtension('pg_class', 'c.oid')})
     ORDER BY size DESC, schema, name`,
  );
}

/** What has to be locked so that nobody changes the schema: tables, those of AGE too, and partitioned ones. By oid. */
export async function readLockable(
  client: pg.Client,
): Promise<{ oid: string; schema: string; name: string }[]> {
  return await rowsOf(
    client,
    `SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS name
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND ${OWN_SCHEMA} ORDER BY c.oid`,
  );
}

/** @throws OperatorError BACKUP_UNSUPPORTED for what a dump would lose */
export async function assertSupported(client: pg.Client): Promise<void> {
  const [large] = await rowsOf<{ count: string }>(
    client,
    'SELECT count(*) AS count FROM pg_catalog.pg_largeobject_metadata',
  );
  if (large && large.count !== '0')
    throw unsupported(
      `the database has ${large.count} large objects, which a backup does not hold`,
      'move them into bytea columns or the object store, then remove them with lo_unlink()',
    );
  // A restored enum has other oids, so its values hash to other partitions. pg_dump loads such rows through the parent.
  const [hashed] = await rowsOf<{ name: string }>(
    client,
    `SELECT p.partrelid::regclass::text AS name FROM pg_catalog.pg_partitioned_table p WHERE p.partstrat = 'h' AND EXISTS
       (SELECT FROM pg_catalog.pg_opclass o WHERE o.oid = ANY (p.partclass) AND o.opcname = 'enum_ops')`,
  );
  if (hashed)
    throw unsupported(
      `${hashed.name} is partitioned by the hash of an enum, which differs in every database`,
      'partition it BY LIST, or by the hash of a text column',
    );
}

/**
 * AGE stores a view over cypher() under the column names of its AS list, but PostgreSQL prints those of RETURN: where the two differ,
 * what pg_dump writes is no valid view. In a read-only transaction.
 * @throws OperatorError BACKUP_UNSUPPORTED with the views that could not be made again
 */
export async function assertViewsCanBeMade(client: pg.Client): Promise<void> {
  const views = await rowsOf<{ name: string; text: string }>(
    client,
    `SELECT c.oid::regclass::text AS name, pg_catalog.pg_get_viewdef(c.oid) AS text
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('v', 'm') AND ${OWN_SCHEMA} AND pg_catalog.pg_get_viewdef(c.oid) LIKE '%ag_catalog.%' ORDER BY 1`,
  );
  const broken: string[] = [];
  for (const { name, text } of views) {
    await client.query('SAVEPOINT view');
    try {
      await client.query(`PREPARE kg_view AS ${text}`); // parses it, and looks up every name
      await client.query('DEALLOCATE kg_view');
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      broken.push(`${name}: ${error.message}`);
    }
    await client.query('ROLLBACK TO SAVEPOINT view');
  }
  const [first, ...others] = broken;
  if (first === undefined) return;
  throw new OperatorError(
    'BACKUP_UNSUPPORTED',
    `a view over cypher() can't be made again from its definition: ${first}`,
    {
      exitCode: EXIT.precondition,
      details: others,
      hint: 'create it again, with the same names in RETURN … AS name and in AS (name agtype)',
    },
  );
}

function unsupported(message: string, hint: string): OperatorError {
  return new OperatorError('BACKUP_UNSUPPORTED', message, { exitCode: EXIT.precondition, hint });
}

/** Every sequence and where it stands. That is not part of a snapshot: it may be ahead of the rows, never behind. */
export async function readSequences(client: pg.Client): Promise<DumpedSequence[]> {
  const names = await rowsOf<{ schema: string; name: string }>(
    client,
    `SELECT n.nspname AS schema, c.relname AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND ${OWN_SCHEMA}
       AND (NOT ${ofExtension('pg_class', 'c.oid')} OR EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE c.oid = ANY (e.extconfig)))
     ORDER BY schema, name`,
  );
  const found: DumpedSequence[] = [];
  const BATCH = 200;
  for (let at = 0; at < names.length; at += BATCH) {
    const batch = names.slice(at, at + BATCH);
    const selects = batch.map(
      (sequence, index) =>
        `SELECT ${index} AS index, last_value::text AS value, is_called AS called FROM ${qualified(sequence)}`,
    );
    const rows = await rowsOf<{ index: number; value: string; called: boolean }>(
      client,
      selects.join(' UNION ALL '),
    );
    for (const { index, value, called } of rows)
      found.push({
        ...(batch[index] as { schema: string; name: string }),
        lastValue: value,
        isCalled: called,
      });
  }
  return found;
}

/** AGE's graphs and their labels, without counts. None where the extension is not installed. */
export async function readGraphs(client: pg.Client): Promise<Omit<DumpedGraph, 'vertices' | 'edges'>[]> {
  const [age] = await rowsOf(client, `SELECT FROM pg_catalog.pg_extension WHERE extname = 'age'`);
  if (!age) return [];
  const graphs = await rowsOf<{ name: string; schema: string | null; oid: number }>(
    client,
    `SELECT g.name, n.nspname AS schema, g.graphid::int8::float8 AS oid
     FROM ag_catalog.ag_graph g LEFT JOIN pg_catalog.pg_namespace n ON n.oid = g.namespace ORDER BY g.name`,
  );
  const labels = await rowsOf<Omit<DumpedLabel, 'rows'> & { graph: number; table: string | null }>(
    client,
    `SELECT l.graph::int8::float8 AS graph, l.name AS label, l.id, l.kind, c.relname AS table, l.seq_name AS sequence
     FROM ag_catalog.ag_label l JOIN ag_catalog.ag_graph g ON g.graphid = l.graph
     LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relnamespace = g.namespace ORDER BY l.graph, l.id`,
  );
  return graphs.map(({ name, schema, oid }) => {
    const own = labels.filter(({ graph }) => graph === oid);
    if (schema === null || own.some(({ table }) => table === null)) throw graphDamaged(name);
    return {
      name,
      schema,
      oid,
      labels: own.map(({ label, id, kind, table, sequence }) => ({
        label,
        id,
        kind,
        table,
        sequence,
        rows: 0,
      })) as DumpedLabel[],
    };
  });
}

function graphDamaged(name: string): OperatorError {
  return new OperatorError(
    'GRAPH_DAMAGED',
    `graph ${name}: its entries in ag_graph and ag_label name tables that are not there`,
    {
      exitCode: EXIT.precondition,
      hint: 'remove the entries, or bring back the tables; a dump of it could not be restored',
    },
  );
}

type Copied = Pick<DumpedTable, 'schema' | 'name' | 'columns' | 'condition'>;

/** The statement that gives a table's rows, in the order in which they lie in the table. */
export function copyOut({ columns, condition, ...table }: Copied): string {
  const list = columns.map(pg.escapeIdentifier).join(', ');
  return condition === undefined
    ? `COPY ${qualified(table)} ${list && `(${list})`} TO STDOUT`
    : `COPY (SELECT ${list} FROM ONLY ${qualified(table)} ${condition}) TO STDOUT`;
}

/** The statement that takes them. */
export function copyIn({ columns, ...table }: Copied): string {
  const list = columns.map(pg.escapeIdentifier).join(', ');
  return `COPY ${qualified(table)} ${list && `(${list})`} FROM STDIN`;
}
