import type pg from 'pg';
import { rowsOf } from './database-connection.ts';
import { OWN_SCHEMA, ofExtension } from './database-contents.ts';

/**
 * The names of everything in a database that is no row, one line each, sorted: `table kg_api.users`, `column kg_api.users.id bigint not
 * null`, `index knowledge.concept_name`. PostgreSQL 17 and 18 give the same lines for the same schema. Left out are graphs, their labels
 * and what AGE makes for each label, which differs between its versions; and the text of views, defaults and constraints.
 */
export async function readSchema(client: pg.Client): Promise<string[]> {
  const [age] = await rowsOf(client, `SELECT FROM pg_catalog.pg_extension WHERE extname = 'age'`);
  // What AGE makes: the schema of a graph, a table and a sequence for each label, its keys and the indexes of ids (from 1.6 on).
  const labels = age ? 'SELECT relation::oid FROM ag_catalog.ag_label' : 'SELECT NULL::oid WHERE false';
  const graphs = age ? 'SELECT namespace::oid FROM ag_catalog.ag_graph' : 'SELECT NULL::oid WHERE false';
  const rows = await rowsOf<{ line: string }>(
    client,
    `WITH label(oid) AS (${labels}), graph(oid) AS (${graphs}),
     space AS (
       SELECT n.oid, n.nspname AS name FROM pg_catalog.pg_namespace n WHERE ${OWN_SCHEMA} AND NOT ${ofExtension('pg_namespace', 'n.oid')}),
     relation AS (
       SELECT c.oid, c.relkind, format('%s.%s', n.name, c.relname) AS name FROM pg_catalog.pg_class c JOIN space n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND c.relpersistence <> 't' AND NOT ${ofExtension('pg_class', 'c.oid')}
         AND c.oid NOT IN (SELECT oid FROM label)
         AND NOT (c.relkind = 'S' AND c.relnamespace IN (SELECT oid FROM graph))),
     anyone AS (
       SELECT oid, name, false AS label FROM relation
       UNION ALL SELECT c.oid, format('%s.%s', n.name, c.relname), true FROM label JOIN pg_catalog.pg_class c USING (oid)
         JOIN space n ON n.oid = c.relnamespace)
     SELECT line FROM (
       SELECT 'extension ' || extname AS line FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql'
       UNION ALL SELECT 'schema ' || name FROM space WHERE name <> 'public' AND oid NOT IN (SELECT oid FROM graph)
       UNION ALL SELECT concat(CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
         WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' ELSE 'type' END, ' ', name) FROM relation
       UNION ALL SELECT concat('column ', r.name, '.', a.attname, ' ', pg_catalog.format_type(a.atttypid, a.atttypmod),
           CASE WHEN a.attnotnull THEN ' not null' END, CASE WHEN a.attidentity <> '' THEN ' identity' END,
           CASE WHEN a.attgenerated <> '' THEN ' generated' END)
         FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE r.relkind <> 'S'
       UNION ALL SELECT format('index %s.%s', n.name, c.relname) FROM anyone r JOIN pg_catalog.pg_index i ON i.indrelid = r.oid
         JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN space n ON n.oid = c.relnamespace
         WHERE NOT (r.label AND i.indnatts = 1 AND i.indexprs IS NULL AND i.indpred IS NULL AND EXISTS (SELECT FROM pg_catalog.pg_attribute a
           WHERE a.attrelid = r.oid AND a.attnum = i.indkey[0] AND a.attname IN ('id', 'start_id', 'end_id')))
       UNION ALL SELECT format('constraint %s of %s', k.conname, r.name) FROM anyone r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
         WHERE k.contype NOT IN ('n', 't') AND NOT (r.label AND k.contype = 'p')
       UNION ALL SELECT format('trigger %s of %s', t.tgname, r.name) FROM anyone r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid
         WHERE NOT t.tgisinternal
       UNION ALL SELECT format('policy %s of %s', p.polname, r.name) FROM anyone r JOIN pg_catalog.pg_policy p ON p.polrelid = r.oid
       UNION ALL SELECT format('rule %s of %s', w.rulename, r.name) FROM anyone r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid
         WHERE w.rulename <> '_RETURN'
       UNION ALL SELECT format('function %s.%s(%s) %s', n.name, f.proname, pg_catalog.pg_get_function_identity_arguments(f.oid),
           pg_catalog.md5(f.prosrc))
         FROM pg_catalog.pg_proc f JOIN space n ON n.oid = f.pronamespace WHERE NOT ${ofExtension('pg_proc', 'f.oid')}
       UNION ALL SELECT format('type %s.%s', n.name, y.typname) FROM pg_catalog.pg_type y JOIN space n ON n.oid = y.typnamespace
         WHERE y.typtype IN ('e', 'd', 'r') AND NOT ${ofExtension('pg_type', 'y.oid')}
       UNION ALL SELECT 'event trigger ' || v.evtname FROM pg_catalog.pg_event_trigger v WHERE NOT ${ofExtension('pg_event_trigger', 'v.oid')}
       UNION ALL SELECT 'publication ' || pubname FROM pg_catalog.pg_publication
     ) AS every(line) ORDER BY line COLLATE "C"`,
  );
  return rows.map(({ line }) => line);
}

/** What makes two schemas different, as sentences; `here` is what the migrations make. Of a table that differs as a whole not every column. */
export function schemaDifferences(saved: string[], here: string[]): string[] {
  const [was, is] = [new Set(saved), new Set(here)];
  return [
    ...withoutColumns(saved.filter((line) => !is.has(line))).map((line) => `no migration makes the ${line}`),
    ...withoutColumns(here.filter((line) => !was.has(line))).map((line) => `the backup has not the ${line}`),
  ];
}

const RELATION = /^(?:table|partitioned table|view|materialized view|foreign table|type) (.+)$/;

function withoutColumns(lines: string[]): string[] {
  const relations = lines.flatMap((line) => RELATION.exec(line)?.[1] ?? []);
  return lines.filter((line) => !relations.some((name) => line.startsWith(`column ${name}.`)));
}
