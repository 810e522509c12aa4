import type pg from 'pg';
import { rowsOf } from './database-connection.ts';
import { OWN_SCHEMA, ofExtension } from './database-contents.ts';
import type { DumpedSetting } from './format.ts';

/** What the database is, besides what is in it. */
export async function readIdentity(client: pg.Client): Promise<{
  serverVersion: number;
  encoding: string;
  owner: string;
  roles: string[];
  extensions: { name: string; version: string }[];
  settings: DumpedSetting[];
}> {
  const [server] = await rowsOf<{ version: string; encoding: string; owner: string }>(
    client,
    `SELECT current_setting('server_version_num') AS version, current_setting('server_encoding') AS encoding,
       (SELECT rolname FROM pg_catalog.pg_roles WHERE oid = 10) AS owner`,
  );
  if (!server) throw new Error('a SELECT without FROM gave no row');
  const own = '(SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())';
  const settings = await rowsOf<{ role: string | null; setting: string }>(
    client,
    `SELECT r.rolname AS role, unnest(s.setconfig) AS setting FROM pg_catalog.pg_db_role_setting s
     LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = ${own} ORDER BY 1, 2`,
  );
  const roles = await rowsOf<{ name: string }>(
    client,
    `SELECT DISTINCT r.rolname AS name FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
     WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.dbid = ${own}
     UNION SELECT r.rolname FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_roles r ON r.oid = s.setrole AND r.oid <> 10
     WHERE s.setdatabase = ${own} ORDER BY 1`,
  );
  return {
    serverVersion: Number(server.version),
    encoding: server.encoding,
    owner: server.owner,
    roles: roles.map(({ name }) => name),
    extensions: await rowsOf(
      client,
      'SELECT extname AS name, extversion AS version FROM pg_catalog.pg_extension ORDER BY 1',
    ),
    settings: settings.map(({ role, setting }) => {
      const [name = '', ...value] = setting.split('=');
      return { ...(role === null ? {} : { role }), name, value: value.join('=') };
    }),
  };
}

/** How many objects there are of each kind. Not counted: NOT NULL constraints, which are constraints of their own only since PostgreSQL 18. */
export async function countObjects(client: pg.Client): Promise<Record<string, number>> {
  const rows = await rowsOf<{ kind: string; count: string }>(
    client,
    `WITH relation AS (
       SELECT c.oid, c.relkind FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE ${OWN_SCHEMA} AND c.relpersistence <> 't' AND NOT ${ofExtension('pg_class', 'c.oid')})
     SELECT CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
       WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'composite type' END AS kind, count(*)
       FROM relation WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') GROUP BY 1
     UNION ALL SELECT 'index', count(*) FROM pg_catalog.pg_index i JOIN relation r ON r.oid = i.indrelid WHERE i.indisvalid
     UNION ALL SELECT 'constraint', count(*) FROM pg_catalog.pg_constraint k JOIN relation r ON r.oid = k.conrelid WHERE k.contype <> 'n'
     UNION ALL SELECT 'trigger', count(*) FROM pg_catalog.pg_trigger t JOIN relation r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
     UNION ALL SELECT 'policy', count(*) FROM pg_catalog.pg_policy p JOIN relation r ON r.oid = p.polrelid
     UNION ALL SELECT 'rule', count(*) FROM pg_catalog.pg_rewrite w JOIN relation r ON r.oid = w.ev_class
     UNION ALL SELECT 'function', count(*) FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace
       WHERE ${OWN_SCHEMA} AND NOT ${ofExtension('pg_proc', 'f.oid')}
     UNION ALL SELECT 'enum or domain', count(*) FROM pg_catalog.pg_type y JOIN pg_catalog.pg_namespace n ON n.oid = y.typnamespace
       WHERE ${OWN_SCHEMA} AND y.typtype IN ('e', 'd') AND NOT ${ofExtension('pg_type', 'y.oid')}
     UNION ALL SELECT 'event trigger', count(*) FROM pg_catalog.pg_event_trigger v WHERE NOT ${ofExtension('pg_event_trigger', 'v.oid')}`,
  );
  return Object.fromEntries(rows.map(({ kind, count }) => [kind, Number(count)]));
}
