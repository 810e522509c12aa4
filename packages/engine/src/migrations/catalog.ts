import type { MigrationSession } from '../database/session.ts';

/** What a schema consists of: the name of each object, such as `column app.users.name`, and its definition as text. */
export type Catalog = Map<string, string>;

/** An object that two schemas do not have alike. */
export interface Difference {
  object: string;
  /** `added`: only the database has it. `missing`: only the migrations make it. `changed`: both have it, with another definition. */
  kind: 'added' | 'missing' | 'changed';
  /** As the migrations make it; null where they do not. */
  expected: string | null;
  /** As the database has it; null where it does not. */
  found: string | null;
}

/**
 * The schema of a database as PostgreSQL itself words it, for versions 13 to 18 and without pg_dump. Left out: what extensions own, the
 * schema kg_operator, data, owners, and the numbers (oids, label ids) that differ between two databases made alike.
 */
export async function readCatalog(session: Pick<MigrationSession, 'query' | 'script'>): Promise<Catalog> {
  const [{ age } = { age: false }] = await session.query<{ age: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'age') AS age`,
  );
  const parts = age ? [...PARTS, GRAPHS, GRAPH_OIDS] : PARTS;
  // With nothing but pg_catalog on the search_path every other name is written with its schema. One snapshot sees all of it.
  const results = await session.script(
    `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = pg_catalog; ${parts.join(';\n')}; COMMIT;`,
  );
  const rows = results.flatMap(
    (result) =>
      result.rows as { object?: string; definition?: string | null; oid?: string; graph?: string }[],
  );
  const graphs = new Map(
    rows.flatMap(({ oid, graph }) => (oid && graph ? [[`'${oid}'::oid`, `graph ${graph}`]] : [])) as [
      string,
      string,
    ][],
  );
  const byName = (text: string) => text.replace(/'\d+'::oid/g, (oid) => graphs.get(oid) ?? oid);
  return new Map(
    rows.flatMap(({ object, definition }) => (object ? [[object, byName(definition ?? '')] as const] : [])),
  );
}

/** Where two schemas differ, by object name. What follows from a missing or added table is not listed again. */
export function compareCatalogs(expected: Catalog, found: Catalog): Difference[] {
  const objects = [...new Set([...expected.keys(), ...found.keys()])].sort();
  const differences = objects.flatMap((object): Difference[] => {
    const [should, is] = [expected.get(object) ?? null, found.get(object) ?? null];
    if (should === is) return [];
    const kind = should === null ? 'added' : is === null ? 'missing' : 'changed';
    return [{ object, kind, expected: should, found: is }];
  });
  const whole = new Set(
    differences.flatMap(({ object, kind }) =>
      kind !== 'changed' && object.startsWith('table ') ? [object.slice(6)] : [],
    ),
  );
  const partial = new Set(
    differences.flatMap(({ object, kind }) =>
      kind !== 'changed' ? [/^column (.*)\.[^.]+$/.exec(object)?.[1] ?? ''] : [],
    ),
  );
  return differences.filter(({ object }) => {
    const table = OF_TABLE.exec(object)?.[1];
    if (table !== undefined && whole.has(table)) return false;
    // Where a column is missing the order is another anyway.
    const ordered = /^columns of (.*)$/.exec(object)?.[1];
    return ordered === undefined || !(whole.has(ordered) || partial.has(ordered));
  });
}

const OF_TABLE = /^(?:column|constraint|trigger|rule|policy) (.*)\.(?:"(?:[^"]|"")*"|[^."]+)$/;

/** Schemas whose objects count. */
const SCHEMAS = `(SELECT oid, nspname FROM pg_namespace
  WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND nspname <> 'kg_operator')`;

/** Not made by an extension. */
function own(catalog: string, oid: string): string {
  return `NOT EXISTS (SELECT FROM pg_depend WHERE classid = '${catalog}'::regclass AND objid = ${oid} AND deptype = 'e')`;
}

/** The rights others than the owner have, a line each; what nobody has set is what PostgreSQL gives by default. */
function grants(acl: string, type: string, owner: string): string {
  const all = type === 'column' ? acl : `coalesce(${acl}, acldefault('${type}', ${owner}))`;
  return `(SELECT string_agg(line, E'\\n' ORDER BY line COLLATE "C") FROM (
    SELECT format('grant %s to %s%s', lower(privilege_type), CASE WHEN grantee = 0 THEN 'public' ELSE quote_ident(pg_get_userbyid(grantee)) END,
      CASE WHEN is_grantable THEN ' with grant option' ELSE '' END) AS line
    FROM aclexplode(${all}) WHERE grantee <> ${owner}) AS rights)`;
}

function comment(text: string): string {
  return `'comment ' || quote_literal(${text})`;
}

const NAME = `quote_ident(n.nspname) || '.' || quote_ident(c.relname)`;
const RELATIONS = `pg_class c JOIN ${SCHEMAS} n ON n.oid = c.relnamespace AND c.relpersistence <> 't' AND ${own('pg_class', 'c.oid')}`;

// PostgreSQL 17.12 keeps a number there that is another in each database, and pg_dump leaves it out too.
const COLUMN_OPTIONS = `(SELECT string_agg(o, ', ') FROM unnest(attoptions) o WHERE o !~ '^pg_attver=')`;

const PARTS = [
  `SELECT 'schema ' || quote_ident(s.nspname) AS object,
     concat_ws(E'\\n', ${grants('p.nspacl', 'n', 'p.nspowner')}, ${comment(`obj_description(p.oid, 'pg_namespace')`)}) AS definition
   FROM ${SCHEMAS} s JOIN pg_namespace p USING (oid) WHERE ${own('pg_namespace', 'p.oid')}`,

  `SELECT 'extension ' || quote_ident(extname) AS object, 'schema ' || quote_ident(nspname) AS definition
   FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace`,

  `SELECT CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' WHEN 'c' THEN 'type ' ELSE 'table ' END || ${NAME} AS object,
     concat_ws(E'\\n',
       CASE c.relkind WHEN 'p' THEN 'partitioned by ' || pg_get_partkeydef(c.oid) WHEN 'f' THEN 'foreign table' END,
       CASE WHEN c.relpersistence = 'u' THEN 'unlogged' END,
       'partition ' || pg_get_expr(c.relpartbound, c.oid),
       (SELECT 'inherits ' || string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = c.oid),
       'with ' || array_to_string(c.reloptions, ', '),
       CASE WHEN c.relrowsecurity THEN 'row level security' END, CASE WHEN c.relforcerowsecurity THEN 'forced row level security' END,
       CASE WHEN c.relreplident <> 'd' AND c.relkind IN ('r', 'p') THEN 'replica identity ' || c.relreplident::text END,
       CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
       CASE WHEN c.relkind <> 'c' THEN ${grants('c.relacl', 'r', 'c.relowner')} END,
       ${comment(`obj_description(c.oid, 'pg_class')`)}) AS definition
   FROM ${RELATIONS} WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'c')`,

  `SELECT 'columns of ' || ${NAME} AS object, string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS definition
   FROM ${RELATIONS} JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped
   WHERE c.relkind IN ('r', 'p', 'f', 'c') GROUP BY c.oid, n.nspname, c.relname`,

  `SELECT 'column ' || ${NAME} || '.' || quote_ident(attname) AS object,
     concat_ws(E'\\n',
       concat_ws(' ', format_type(atttypid, atttypmod),
         CASE WHEN attcollation <> typcollation THEN 'collate ' || attcollation::regcollation::text END,
         CASE WHEN attnotnull THEN 'not null' END,
         CASE attidentity WHEN 'a' THEN 'generated always as identity' WHEN 'd' THEN 'generated by default as identity' END,
         CASE attgenerated WHEN '' THEN 'default ' ELSE 'generated always as ' END || pg_get_expr(adbin, adrelid),
         CASE WHEN attgenerated = 's' THEN 'stored' END,
         CASE WHEN attstorage <> typstorage THEN 'storage ' || attstorage::text END,
         'with ' || ${COLUMN_OPTIONS}),
       ${grants('attacl', 'column', 'c.relowner')},
       ${comment('col_description(c.oid, attnum)')}) AS definition
   FROM ${RELATIONS} JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped
     JOIN pg_type t ON t.oid = atttypid LEFT JOIN pg_attrdef ON adrelid = c.oid AND adnum = attnum
   WHERE c.relkind IN ('r', 'p', 'f', 'c')`,

  `SELECT 'sequence ' || ${NAME} AS object,
     concat_ws(E'\\n', format('%s start %s increment %s min %s max %s cache %s%s', format_type(seqtypid, NULL), seqstart, seqincrement, seqmin,
         seqmax, seqcache, CASE WHEN seqcycle THEN ' cycle' ELSE '' END),
       (SELECT 'of ' || refobjid::regclass::text || '.' || quote_ident(attname) FROM pg_depend JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
         WHERE classid = 'pg_class'::regclass AND objid = c.oid AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')),
       ${grants('c.relacl', 's', 'c.relowner')}, ${comment(`obj_description(c.oid, 'pg_class')`)}) AS definition
   FROM ${RELATIONS} JOIN pg_sequence ON seqrelid = c.oid`,

  // A NOT NULL is its column's: from PostgreSQL 18 on it is a constraint besides, under a name that depends on how it came about.
  `SELECT 'constraint ' || ${NAME} || '.' || quote_ident(conname) AS object,
     concat_ws(E'\\n', pg_get_constraintdef(con.oid), ${comment(`obj_description(con.oid, 'pg_constraint')`)}) AS definition
   FROM ${RELATIONS} JOIN pg_constraint con ON conrelid = c.oid WHERE NOT (contype = 'n' AND convalidated)`,

  `SELECT 'index ' || quote_ident(n.nspname) || '.' || quote_ident(i.relname) AS object,
     concat_ws(E'\\n', pg_get_indexdef(i.oid), CASE WHEN NOT indisvalid THEN 'invalid' END, CASE WHEN indisclustered THEN 'clustered' END,
       ${comment(`obj_description(i.oid, 'pg_class')`)}) AS definition
   FROM ${RELATIONS} JOIN pg_index ON indrelid = c.oid JOIN pg_class i ON i.oid = indexrelid
   WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.oid AND contype IN ('p', 'u', 'x') AND conrelid = c.oid)`,

  `SELECT 'trigger ' || ${NAME} || '.' || quote_ident(tgname) AS object,
     concat_ws(E'\\n', pg_get_triggerdef(t.oid), CASE tgenabled WHEN 'O' THEN NULL WHEN 'D' THEN 'disabled' ELSE 'enabled ' || tgenabled::text END,
       ${comment(`obj_description(t.oid, 'pg_trigger')`)}) AS definition
   FROM ${RELATIONS} JOIN pg_trigger t ON tgrelid = c.oid WHERE NOT tgisinternal`,

  `SELECT 'rule ' || ${NAME} || '.' || quote_ident(rulename) AS object,
     concat_ws(E'\\n', pg_get_ruledef(r.oid), CASE ev_enabled WHEN 'O' THEN NULL ELSE 'enabled ' || ev_enabled::text END) AS definition
   FROM ${RELATIONS} JOIN pg_rewrite r ON ev_class = c.oid WHERE rulename <> '_RETURN'`,

  `SELECT 'policy ' || ${NAME} || '.' || quote_ident(polname) AS object,
     concat_ws(E'\\n', format('for %s %s', CASE polcmd WHEN '*' THEN 'all' WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' ELSE 'delete' END,
         CASE WHEN polpermissive THEN 'permissive' ELSE 'restrictive' END),
       'to ' || (SELECT string_agg(CASE role WHEN 0 THEN 'public' ELSE pg_get_userbyid(role)::text END, ', ' ORDER BY pg_get_userbyid(role)::text) FROM unnest(polroles) role),
       'using ' || pg_get_expr(polqual, polrelid), 'with check ' || pg_get_expr(polwithcheck, polrelid)) AS definition
   FROM ${RELATIONS} JOIN pg_policy ON polrelid = c.oid`,

  `SELECT CASE prokind WHEN 'p' THEN 'procedure ' WHEN 'a' THEN 'aggregate ' ELSE 'function ' END || quote_ident(n.nspname) || '.' || quote_ident(proname)
       || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS object,
     concat_ws(E'\\n',
       CASE WHEN prokind <> 'a' THEN rtrim(pg_get_functiondef(p.oid), E'\\n')
         ELSE (SELECT format('state %s by %s final %s initial %s', format_type(aggtranstype, NULL), aggtransfn, aggfinalfn, coalesce(agginitval, '-'))
                 FROM pg_aggregate WHERE aggfnoid = p.oid) END,
       ${grants('proacl', 'f', 'proowner')}, ${comment(`obj_description(p.oid, 'pg_proc')`)}) AS definition
   FROM pg_proc p JOIN ${SCHEMAS} n ON n.oid = pronamespace WHERE ${own('pg_proc', 'p.oid')}`,

  `SELECT CASE typtype WHEN 'd' THEN 'domain ' ELSE 'type ' END || quote_ident(n.nspname) || '.' || quote_ident(typname) AS object,
     concat_ws(E'\\n',
       CASE typtype
         WHEN 'e' THEN 'enum ' || (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)
         WHEN 'r' THEN 'range of ' || (SELECT format_type(rngsubtype, NULL) FROM pg_range WHERE rngtypid = t.oid)
         WHEN 'd' THEN concat_ws(' ', format_type(typbasetype, typtypmod), CASE WHEN typnotnull THEN 'not null' END, 'default ' || typdefault)
         ELSE 'base type' END,
       (SELECT string_agg(quote_ident(conname) || ' ' || pg_get_constraintdef(con.oid), E'\\n' ORDER BY conname) FROM pg_constraint con
         WHERE contypid = t.oid AND contype = 'c'),
       ${grants('typacl', 'T', 'typowner')}, ${comment(`obj_description(t.oid, 'pg_type')`)}) AS definition
   FROM pg_type t JOIN ${SCHEMAS} n ON n.oid = typnamespace
   WHERE (typtype IN ('d', 'e', 'r') OR typtype = 'b' AND typcategory <> 'A') AND ${own('pg_type', 't.oid')}`,

  `SELECT 'statistics ' || quote_ident(n.nspname) || '.' || quote_ident(stxname) AS object, pg_get_statisticsobjdef(s.oid) AS definition
   FROM pg_statistic_ext s JOIN ${SCHEMAS} n ON n.oid = stxnamespace`,

  `SELECT 'event trigger ' || quote_ident(evtname) AS object,
     format('on %s %s execute %s (%s)', evtevent, evttags, evtfoid::regproc, evtenabled) AS definition
   FROM pg_event_trigger e WHERE ${own('pg_event_trigger', 'e.oid')}`,

  `SELECT 'publication ' || quote_ident(pubname) AS object,
     concat_ws(E'\\n', CASE WHEN puballtables THEN 'all tables' END,
       format('insert %s update %s delete %s truncate %s', pubinsert, pubupdate, pubdelete, pubtruncate),
       (SELECT string_agg(prrelid::regclass::text, ', ' ORDER BY prrelid::regclass::text) FROM pg_publication_rel WHERE prpubid = p.oid)) AS definition
   FROM pg_publication p`,

  `SELECT format('default privileges %s%s', defaclobjtype, ' in ' || quote_ident(nspname)) AS object, ${grants('defaclacl', 'column', 'defaclrole')} AS definition
   FROM pg_default_acl LEFT JOIN pg_namespace n ON n.oid = defaclnamespace
   WHERE nspname IS DISTINCT FROM 'kg_operator' AND pg_has_role(defaclrole, 'MEMBER')`,

  // Of what is rare it is only known whether it is there.
  ...[
    'operator',
    'opclass',
    'opfamily',
    'cast',
    'conversion',
    'collation',
    'ts_config',
    'ts_dict',
    'ts_parser',
    'ts_template',
    'foreign_data_wrapper',
    'foreign_server',
    'transform',
  ].map(
    (kind) => `SELECT i.type || ' ' || i.identity AS object, '' AS definition
   FROM pg_${kind} o, pg_identify_object('pg_${kind}'::regclass, o.oid, 0) i
   WHERE o.oid >= 16384 AND i.schema IS DISTINCT FROM 'kg_operator' AND ${own(`pg_${kind}`, 'o.oid')}`,
  ),
];

/** Graphs and labels by name: their oids and ids are those of each database. */
const GRAPHS = `
  SELECT 'graph ' || quote_ident(name) AS object, '' AS definition FROM ag_catalog.ag_graph
  UNION ALL
  SELECT format('label %I.%I', g.name, l.name), CASE l.kind WHEN 'v' THEN 'vertex' ELSE 'edge' END
  FROM ag_catalog.ag_label l JOIN ag_catalog.ag_graph g ON g.graphid = l.graph`;

/** A view over cypher() has its graph's oid written into it. */
const GRAPH_OIDS = `SELECT graphid::oid::text AS oid, name AS graph FROM ag_catalog.ag_graph`;
