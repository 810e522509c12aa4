import pg from 'pg';
import { messageOf } from '../model/errors.ts';
import { qualified, rowsOf } from './database-connection.ts';
import { readSequences } from './database-contents.ts';
import { isOfServer } from './database-errors.ts';
import { setSequences } from './database-restore.ts';
import type { Report } from './database-verify.ts';
import type { DumpedGraph, DumpedLabel } from './format.ts';

/** More vertices and edges than this are not walked by a path of variable length: for it AGE reads the whole graph into memory. */
const PATH_LIMIT = 2_000_000;

/**
 * Looks at one graph: AGE's catalog, the ids, and by Cypher itself whether it can be read and written. A count never shows the damage:
 * with a wrong oid in the catalog it is right, and every read of a vertex fails.
 */
export async function verifyGraph(client: pg.Client, graph: DumpedGraph, report: Report): Promise<void> {
  if (!(await verifyCatalog(client, graph, report))) return;
  for (const label of graph.labels) await verifyIds(client, graph, label, report);
  await client.query("LOAD 'age'");
  await client.query('SET search_path = ag_catalog, public');
  try {
    for (const label of graph.labels) if (label.rows > 0) await verifyRead(client, graph, label, report);
    await verifyPath(client, graph, report);
    await verifyWrite(client, graph, report);
  } finally {
    await client.query("SET search_path = ''");
  }
}

/** Whether AGE's catalog says of the graph what it said when it was saved, by today's oids. */
async function verifyCatalog(client: pg.Client, graph: DumpedGraph, report: Report): Promise<boolean> {
  const rows = await rowsOf<Omit<DumpedLabel, 'rows'>>(
    client,
    `SELECT l.name AS label, l.id, l.kind, c.relname AS table, l.seq_name AS sequence
     FROM ag_catalog.ag_graph g JOIN pg_catalog.pg_namespace n ON n.oid = g.graphid AND n.oid = g.namespace
     JOIN ag_catalog.ag_label l ON l.graph = g.graphid
     JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relnamespace = n.oid
     JOIN pg_catalog.pg_class s ON s.relname = l.seq_name AND s.relnamespace = n.oid AND s.relkind = 'S'
     WHERE g.name = $1 AND n.nspname = $2 ORDER BY l.id`,
    [graph.name, graph.schema],
  );
  const saved = graph.labels.map(({ rows: _, ...label }) => label).sort((a, b) => a.id - b.id);
  const keys = ({ label, id, kind, table, sequence }: Omit<DumpedLabel, 'rows'>) => [
    label,
    id,
    kind,
    table,
    sequence,
  ];
  if (JSON.stringify(rows.map(keys)) === JSON.stringify(saved.map(keys))) return true;
  report(
    'GRAPH_CATALOG',
    `graph ${graph.name}: ag_graph and ag_label do not hold its labels as they were saved`,
  );
  return false;
}

/** Ids carry the label's number, sequences are at or past the highest, and edges end in vertices. */
async function verifyIds(
  client: pg.Client,
  graph: DumpedGraph,
  label: DumpedLabel,
  report: Report,
): Promise<void> {
  const table = qualified({ schema: graph.schema, name: label.table });
  const [ids] = await rowsOf<{ wrong: string; behind: boolean }>(
    client,
    `SELECT count(*) FILTER (WHERE ag_catalog._extract_label_id(id) <> $1) AS wrong,
       coalesce(max(id::text::bigint & ((1::bigint << 48) - 1)) > (SELECT last_value FROM ${qualified({ schema: graph.schema, name: label.sequence })}), false)
         AS behind FROM ONLY ${table}`,
    [label.id],
  );
  if (ids && ids.wrong !== '0')
    report('GRAPH_IDS', `graph ${graph.name}: ${ids.wrong} ids of ${label.label} are not of this label`);
  if (ids?.behind)
    report(
      'GRAPH_IDS',
      `graph ${graph.name}: the next id of ${label.label} may be one that is there already`,
    );
  if (label.kind === 'v') return;
  for (const end of ['start_id', 'end_id']) {
    const [dangling] = await rowsOf<{ count: string }>(
      client,
      `SELECT count(*) AS count FROM ONLY ${table} e WHERE NOT EXISTS
         (SELECT FROM ${verticesOf(graph)} v WHERE v.id OPERATOR(ag_catalog.=) e.${end})`,
    );
    if (dangling && dangling.count !== '0')
      report(
        'GRAPH_DANGLING_EDGES',
        `graph ${graph.name}: the ${end} of ${dangling.count} ${label.label} edges is no vertex`,
      );
  }
}

/** Every vertex of the graph: the tables of labels inherit from this one. */
function verticesOf({ schema }: DumpedGraph): string {
  return qualified({ schema, name: DEFAULT_VERTEX });
}

const DEFAULT_VERTEX = '_ag_label_vertex';
const DEFAULT_EDGE = '_ag_label_edge';

/** `:Label` as Cypher wants it; nothing for what has none. */
function pattern({ label }: DumpedLabel): string {
  return label === DEFAULT_VERTEX || label === DEFAULT_EDGE ? '' : `:\`${label.replaceAll('`', '``')}\``;
}

/** The rows of a Cypher query of one column, as agtype's text. */
async function cypher(client: pg.Client, graph: DumpedGraph, query: string): Promise<string[]> {
  const rows = await rowsOf<{ value: string }>(
    client,
    `SELECT value FROM ag_catalog.cypher(${pg.escapeLiteral(graph.name)}, $kg_verify$ ${query} $kg_verify$) AS (value ag_catalog.agtype)`,
  );
  return rows.map(({ value }) => value);
}

/** Some vertex of the label, or some edge that has both its ends, as Cypher gives it. */
async function verifyRead(
  client: pg.Client,
  graph: DumpedGraph,
  label: DumpedLabel,
  report: Report,
): Promise<void> {
  const [row] = await someOf(client, graph, label);
  if (!row) return; // all its edges dangle, which is reported
  const query =
    label.kind === 'v'
      ? `MATCH (n${pattern(label)}) WHERE id(n) = ${row.id} RETURN n`
      : `MATCH (a)-[e${pattern(label)}]->(b) WHERE id(e) = ${row.id} RETURN [a, e, b]`;
  const name = JSON.stringify(pattern(label) ? label.label : '');
  const wanted = `{"id": ${row.id}, "label": ${name}, `;
  try {
    const [value = ''] = await cypher(client, graph, query);
    const isThere =
      label.kind === 'v' ? value.startsWith(wanted) && value.endsWith('::vertex') : value.includes(wanted);
    if (!isThere)
      report('GRAPH_UNREADABLE', `graph ${graph.name}: Cypher does not find a ${label.label} that is there`);
  } catch (error) {
    if (isOfServer(error)) throw error;
    report('GRAPH_UNREADABLE', `graph ${graph.name}: Cypher can't read ${label.label}: ${messageOf(error)}`);
  }
}

async function someOf(
  client: pg.Client,
  graph: DumpedGraph,
  label: DumpedLabel,
): Promise<{ id: string; start: string }[]> {
  const table = qualified({ schema: graph.schema, name: label.table });
  if (label.kind === 'v')
    return await rowsOf(client, `SELECT id::text AS id, '' AS start FROM ONLY ${table} LIMIT 1`);
  const has = (end: string) =>
    `EXISTS (SELECT FROM ${verticesOf(graph)} v WHERE v.id OPERATOR(ag_catalog.=) e.${end})`;
  return await rowsOf(
    client,
    `SELECT e.id::text AS id, e.start_id::text AS start FROM ONLY ${table} e WHERE ${has('start_id')} AND ${has('end_id')} LIMIT 1`,
  );
}

async function verifyPath(client: pg.Client, graph: DumpedGraph, report: Report): Promise<void> {
  if (graph.vertices + graph.edges > PATH_LIMIT) return;
  for (const label of graph.labels) {
    const [edge] = label.kind === 'e' && label.rows > 0 ? await someOf(client, graph, label) : [];
    if (!edge) continue;
    try {
      const [path = ''] = await cypher(
        client,
        graph,
        `MATCH p = (a)-[*1..2]->(b) WHERE id(a) = ${edge.start} RETURN p LIMIT 1`,
      );
      if (!path.endsWith('::path'))
        report('GRAPH_UNREADABLE', `graph ${graph.name}: Cypher finds no path where there is one`);
    } catch (error) {
      if (isOfServer(error)) throw error;
      report('GRAPH_UNREADABLE', `graph ${graph.name}: Cypher can't follow a path: ${messageOf(error)}`);
    }
    return;
  }
}

/** A vertex of a label that is there, and an edge and vertices of new ones; none of it stays. */
async function verifyWrite(client: pg.Client, graph: DumpedGraph, report: Report): Promise<void> {
  const label = graph.labels.find(({ kind, label }) => kind === 'v' && label !== DEFAULT_VERTEX);
  // Sequences do not roll back.
  const sequences = (await readSequences(client)).filter(({ schema }) => schema === graph.schema);
  let failure: { error: unknown } | undefined;
  await client.query('BEGIN');
  try {
    if (label) await create(client, graph, `(n${pattern(label)} {kg_verify: true})`, 'n', 'vertex');
    await create(client, graph, '(:kg_verify_vertex)-[n:kg_verify_edge]->(:kg_verify_vertex)', 'n', 'edge');
  } catch (error) {
    failure = { error };
  }
  await client.query('ROLLBACK');
  if (failure) {
    if (isOfServer(failure.error)) throw failure.error;
    const reason = messageOf(failure.error);
    report('GRAPH_UNWRITABLE', `graph ${graph.name}: Cypher can't write to it: ${reason}`);
  }
  await setSequences(client, sequences);
}

async function create(
  client: pg.Client,
  graph: DumpedGraph,
  what: string,
  name: string,
  type: string,
): Promise<void> {
  const [value = 'nothing'] = await cypher(client, graph, `CREATE ${what} RETURN ${name}`);
  if (!value.endsWith(`::${type}`)) throw new Error(`CREATE gave no ${type}`);
}
