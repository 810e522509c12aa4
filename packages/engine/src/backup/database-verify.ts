import { createHash } from 'node:crypto';
import type { ConnectionSettings } from '@kg-operator/config';
import type pg from 'pg';
import { to } from 'pg-copy-streams';
import { rowsOf, together } from './database-connection.ts';
import { copyOut, readSequences, readTables } from './database-contents.ts';
import { verifyFailed } from './database-errors.ts';
import { verifyGraph } from './database-graph.ts';
import { countObjects } from './database-identity.ts';
import { openPool, type Pool } from './database-pool.ts';
import type { DatabaseManifest, DumpedTable, Progress } from './format.ts';

/** Something that is not as it should be in a restored database. */
export interface Finding {
  code: FindingCode;
  /** One sentence; no values of rows. */
  message: string;
  /** The rows are exactly those that were saved, so the database that was saved has this as well. The restore did not do it. */
  isInherited: boolean;
}

export type FindingCode =
  | 'TABLE_MISSING'
  | 'TABLE_EXTRA'
  | 'ROWS_DIFFER'
  | 'SEQUENCE_DIFFERS'
  | 'OBJECTS_DIFFER'
  | 'INDEX_INVALID'
  | 'EXTENSION_DIFFERS'
  | 'GRAPH_CATALOG'
  | 'GRAPH_IDS'
  | 'GRAPH_DANGLING_EDGES'
  | 'GRAPH_UNREADABLE'
  | 'GRAPH_UNWRITABLE'
  | 'STALE_GRAPH_OID';

/** What a check reports; whether it is inherited shows only at the end. */
export type Report = (code: FindingCode, message: string) => void;

export interface VerifyOptions {
  /** How many tables are read at once. */
  jobs?: number;
  signal?: AbortSignal;
  onProgress?: ((progress: Progress) => void) | undefined;
}

// Of these the rows alone are the cause. If the rows are right, they were so before.
const IN_ROWS: FindingCode[] = ['GRAPH_IDS', 'GRAPH_DANGLING_EDGES'];

/**
 * Compares a freshly loaded database, into which nobody has written since, with the manifest of its dump: rows, sequences and objects,
 * and whether every graph answers Cypher and takes writes. What it writes it rolls back.
 * @returns what is wrong; nothing, if the restore is good
 * @throws OperatorError VERIFY_FAILED when it could not be looked at, DATABASE_UNREACHABLE; the signal's reason
 */
export async function verifyDatabase(
  settings: ConnectionSettings,
  manifest: DatabaseManifest,
  options: VerifyOptions = {},
): Promise<Finding[]> {
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const found: Omit<Finding, 'isInherited'>[] = [];
  const report: Report = (code, message) => found.push({ code, message });
  try {
    const pool = await openPool(settings, options.jobs ?? 2, signal);
    let here: DumpedTable[] = [];
    await pool.use(async (client) => {
      here = await verifyTables(client, manifest.tables, report);
      await verifySequences(client, manifest, report);
      await verifyObjects(client, manifest, report);
    });
    await verifyRows(pool, here, report, { ...options, stop: (reason) => stop.abort(reason) });
    for (const graph of manifest.graphs) await pool.use((client) => verifyGraph(client, graph, report));
    await pool.use((client) => verifyDefinitions(client, manifest, report));
    await pool.end();
  } catch (error) {
    options.signal?.throwIfAborted();
    throw verifyFailed(error);
  } finally {
    stop.abort(); // ends the connections that are still open
  }
  return inherited(found);
}

/** Says of each finding whether the saved database has it as well. */
export function inherited(found: Omit<Finding, 'isInherited'>[]): Finding[] {
  const rowsAreRight = !found.some(({ code }) => code === 'ROWS_DIFFER' || code === 'TABLE_MISSING');
  return found.map((finding) => ({
    ...finding,
    isInherited: rowsAreRight && IN_ROWS.includes(finding.code),
  }));
}

/** Returns the tables that are there as they should be. */
export async function verifyTables(
  client: pg.Client,
  tables: DumpedTable[],
  report: Report,
): Promise<DumpedTable[]> {
  const name = (table: { schema: string; name: string }) => `${table.schema}.${table.name}`;
  const saved = new Set(tables.map(name));
  const here = new Set((await readTables(client)).map(name));
  for (const table of saved) if (!here.has(table)) report('TABLE_MISSING', `there is no table ${table}`);
  for (const table of here) if (!saved.has(table)) report('TABLE_EXTRA', `the table ${table} was not saved`);
  return tables.filter((table) => here.has(name(table)));
}

/** Each table's rows once more as text. A table that was loaded in one go gives them in the order in which they went in. */
async function verifyRows(
  pool: Pool,
  tables: DumpedTable[],
  report: Report,
  { jobs = 2, onProgress, stop }: VerifyOptions & { stop: (reason: unknown) => void },
): Promise<void> {
  const total = tables.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  const verify = async (client: pg.Client, table: DumpedTable) => {
    const copy = client.query(to(copyOut(table), { highWaterMark: 1024 * 1024 }));
    const hash = createHash('sha256');
    for await (const part of copy as AsyncIterable<Buffer>) {
      hash.update(part);
      done += part.length;
      onProgress?.({ done: Math.min(done, total), total });
    }
    await rowsOf(client, 'SELECT 1'); // the count comes before this answer
    const name = `${table.schema}.${table.name}`;
    if (copy.rowCount !== table.rows)
      report('ROWS_DIFFER', `${name} has ${copy.rowCount} rows, ${table.rows} were saved`);
    else if (hash.digest('hex') !== table.sha256)
      report('ROWS_DIFFER', `the ${table.rows} rows of ${name} are not those that were saved`);
  };
  const waiting = [...tables];
  const work = async () => {
    for (let table = waiting.shift(); table; table = waiting.shift()) {
      const next = table;
      await pool.use(async (client) => await verify(client, next));
    }
  };
  await together(Array.from({ length: jobs }, work), stop);
}

export async function verifySequences(
  client: pg.Client,
  { sequences }: DatabaseManifest,
  report: Report,
): Promise<void> {
  const here = new Map(
    (await readSequences(client)).map((sequence) => [`${sequence.schema}.${sequence.name}`, sequence]),
  );
  for (const { schema, name, lastValue, isCalled } of sequences) {
    const found = here.get(`${schema}.${name}`);
    if (found?.lastValue !== lastValue || found.isCalled !== isCalled)
      report(
        'SEQUENCE_DIFFERS',
        `the sequence ${schema}.${name} stands at ${found?.lastValue ?? 'nothing'}, not at ${lastValue}`,
      );
  }
}

async function verifyObjects(client: pg.Client, manifest: DatabaseManifest, report: Report): Promise<void> {
  const here = await countObjects(client);
  for (const kind of new Set([...Object.keys(manifest.objects), ...Object.keys(here)])) {
    const [saved = 0, found = 0] = [manifest.objects[kind], here[kind]];
    if (saved !== found) report('OBJECTS_DIFFER', `objects of kind ${kind}: ${found}, ${saved} were saved`);
  }
  await verifyServer(client, manifest, report);
}

/** Whether indexes are in force, and extensions there in the version of the server's library. */
export async function verifyServer(
  client: pg.Client,
  manifest: DatabaseManifest,
  report: Report,
): Promise<void> {
  const invalid = await rowsOf<{ name: string }>(
    client,
    'SELECT indexrelid::regclass::text AS name FROM pg_catalog.pg_index WHERE NOT indisvalid OR NOT indisready',
  );
  for (const { name } of invalid) report('INDEX_INVALID', `the index ${name} is invalid`);

  const extensions = await rowsOf<{ name: string; catalog: string; library: string | null }>(
    client,
    `SELECT e.extname AS name, e.extversion AS catalog, a.default_version AS library
     FROM pg_catalog.pg_extension e LEFT JOIN pg_catalog.pg_available_extensions a ON a.name = e.extname`,
  );
  for (const { name } of manifest.extensions)
    if (!extensions.some((extension) => extension.name === name))
      report('EXTENSION_DIFFERS', `the extension ${name} is missing`);
  for (const { name, catalog, library } of extensions)
    if (catalog !== library)
      report(
        'EXTENSION_DIFFERS',
        `the extension ${name} is ${catalog} in the database, ${library ?? 'missing'} in the server`,
      );
}

/** AGE bakes the oid of a graph into a view over cypher(). Counting such a view's rows would not show that the oid is wrong. */
export async function verifyDefinitions(
  client: pg.Client,
  { graphs }: DatabaseManifest,
  report: Report,
): Promise<void> {
  if (graphs.length === 0) return;
  const stale = await rowsOf<{ name: string }>(
    client,
    `WITH definition AS (
       SELECT w.ev_class::regclass::text AS name, pg_catalog.pg_get_ruledef(w.oid) AS text FROM pg_catalog.pg_rewrite w
       UNION ALL SELECT m.oid::regclass::text, pg_catalog.pg_get_viewdef(m.oid) FROM pg_catalog.pg_class m WHERE m.relkind = 'm'
       UNION ALL SELECT p.polrelid::regclass::text, concat(pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))
         FROM pg_catalog.pg_policy p
       UNION ALL SELECT d.adrelid::regclass::text, pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d
       UNION ALL SELECT k.conrelid::regclass::text, pg_catalog.pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint k WHERE k.contype = 'c')
     SELECT DISTINCT d.name FROM definition d,
       LATERAL pg_catalog.regexp_matches(d.text, '_label_name\\(''(\\d+)''::oid', 'g') AS m
     WHERE NOT EXISTS (SELECT FROM ag_catalog.ag_graph g WHERE g.graphid::text = m[1])`,
  );
  for (const { name } of stale)
    report('STALE_GRAPH_OID', `${name} refers to a graph by a number that is no graph's here`);
}
