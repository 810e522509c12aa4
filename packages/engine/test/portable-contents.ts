import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionSettings, poolConfig } from '@kg-operator/config';
import pg from 'pg';
import { openSession } from '../src/database/session.ts';
import { readMigrations } from '../src/migrations/files.ts';
import { migrate } from '../src/migrations/migrate.ts';

/** Migrations beside the platform's own, with what makes loading into an existing schema difficult. They run on PostgreSQL 17 and 18. */
const MIGRATIONS = {
  '0101_odd': `-- kind: expand
CREATE SCHEMA "odd schema";
CREATE TYPE "odd schema".mood AS ENUM ('sad', 'o''k', 'ünï');
CREATE DOMAIN "odd schema".positive AS int CHECK (VALUE > 0);
CREATE TABLE "odd schema"."tab ""le" (
  id bigint GENERATED ALWAYS AS IDENTITY (START WITH 7 INCREMENT BY 5) PRIMARY KEY,
  n numeric, f float8, r real, d date, tz timestamptz, i interval, m "odd schema".mood, p "odd schema".positive, b bytea, j jsonb, ta text[],
  u uuid, money money, s text, "a""b" text, g ag_catalog.agtype, doubled int GENERATED ALWAYS AS (14) STORED
);
CREATE INDEX "index ""odd""" ON "odd schema"."tab ""le" (lower(left(s, 99))) WHERE id > 10;
CREATE TABLE parent (id int PRIMARY KEY, child int);
CREATE TABLE child (id serial PRIMARY KEY, parent int NOT NULL REFERENCES parent);
ALTER TABLE parent ADD FOREIGN KEY (child) REFERENCES child;
INSERT INTO parent VALUES (1, NULL), (2, NULL);
INSERT INTO child (parent) VALUES (1), (2);
CREATE TABLE measured (at date NOT NULL, value int) PARTITION BY RANGE (at);
CREATE TABLE measured_old PARTITION OF measured FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE measured_new PARTITION OF measured FOR VALUES FROM ('2020-01-01') TO (MAXVALUE);
CREATE TABLE empty (id int);
CREATE VIEW totals AS SELECT count(*) FROM measured;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not by triggers''; END';
CREATE TRIGGER refused BEFORE DELETE OR TRUNCATE ON child FOR EACH STATEMENT EXECUTE FUNCTION refuse();
`,
  '0102_late_label': `-- kind: expand
SET LOCAL search_path = ag_catalog, public;
SELECT create_vlabel('knowledge', 'Late');
`,
};

/** Statements after the first of these migrations, on a connection with search_path = public, ag_catalog. */
const BEFORE_THE_LAST = [
  // Takes the number that the label of the next migration would have got.
  `SELECT * FROM cypher('knowledge', $$ CREATE (:Early {name: 'first'}) $$) AS (r agtype)`,
];

const CONTENTS = [
  String.raw`INSERT INTO "odd schema"."tab ""le" (n, f, r, d, tz, i, m, p, b, j, ta, u, money, s, "a""b", g) VALUES
    ('NaN', 'Infinity', '-Infinity', 'infinity', '-infinity', '1 year -2 days 03:04:05.000006', 'ünï', 1, '\x00ff5c0a0d09',
     '{"a": [1, null, "\u00e4\\n"], "b": 1.10}', ARRAY['', NULL, 'a,b', '"', '\', E'\n'], '00000000-0000-0000-0000-000000000001', 12.34,
     E'back\\slash\ttab\nline\r return \x01 and \\. and \\N', '\N', '{"k": 1.0, "z": [1, 2.5::numeric]}'),
    (123456789012345678901234567890.123456789, 0.1, 1e-40, '4713-01-01 BC', '1883-11-18 12:03:57-07:52:58', '-1 mon', 'sad', 2, '', 'null', '{}',
     NULL, -0.01, '\.', '', '-1e300')`,
  `INSERT INTO "odd schema"."tab ""le" (s) SELECT NULLIF(repeat(chr(8364 + i % 90), i % 3000), '') FROM generate_series(1, 4000) i`,
  `DELETE FROM "odd schema"."tab ""le" WHERE id % 3 = 0`,
  `UPDATE "odd schema"."tab ""le" SET "a""b" = 'again' WHERE id % 7 = 0`,
  // One row that is larger than a piece, and hardly smaller when it is compressed.
  `INSERT INTO "odd schema"."tab ""le" (s) SELECT string_agg(md5(i::text), '') FROM generate_series(1, 200000) i`,
  `INSERT INTO measured SELECT date '2019-06-01' + i, i FROM generate_series(1, 500) i`,
  `UPDATE parent SET child = 3 - id`,
  `SELECT * FROM cypher('knowledge', $$ CREATE (a:Concept {name: 'A', f: 1.5, n: 1.25::numeric, big: 9223372036854775807, small: -9223372036854775808,
     s: "quote \\" back\\\\slash ü \\n", e: 1e300, h: 0.1, u: null})-[:RELATION {type: 'x'}]->(b:Concept {name: 'B', list: [1, {x: null}], t: true}),
     (b)-[:LIKES]->(:Thing), ({plain: 1}) $$) AS (r agtype)`,
  `SELECT * FROM cypher('knowledge', $$ UNWIND range(1, 1500) AS i CREATE (:Many {i: i})-[:NEXT]->(:Many {i: -i}) $$) AS (r agtype)`,
  // Not by DETACH DELETE: AGE in PGlite leaves the edges.
  `SELECT * FROM cypher('knowledge', $$ MATCH (n:Many)-[e:NEXT]->(m:Many) WHERE n.i % 7 = 0 DELETE e $$) AS (r agtype)`,
  `SELECT * FROM cypher('knowledge', $$ MATCH (n:Many) WHERE n.i % 7 = 0 DELETE n $$) AS (r agtype)`,
  `SELECT create_graph('Second-graph.v2')`,
  `SELECT create_vlabel('Second-graph.v2', 'Gone')`,
  `SELECT * FROM cypher('Second-graph.v2', $$ CREATE (:Émile {name: 'ü'})-[:knows_of]->(:B) $$) AS (r agtype)`,
  `SELECT drop_label('Second-graph.v2', 'Gone')`,
  `SELECT create_graph('hollow')`,
];

export interface MigrationsFolder {
  /** For KG_MIGRATIONS_DIR. */
  folder: string;
  remove(): Promise<void>;
}

/** The platform's migrations, and those above. */
export async function migrationsFolder(): Promise<MigrationsFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'kg-migrations-'));
  await cp(join(import.meta.dirname, '../../../schema/migrations'), folder, { recursive: true });
  for (const [id, text] of Object.entries(MIGRATIONS)) await writeFile(join(folder, `${id}.sql`), text);
  return { folder, remove: () => rm(folder, { recursive: true }) };
}

/** Brings an empty database to all migrations of `KG_MIGRATIONS_DIR`, which is such a folder, and fills it. */
export async function fillPortable(settings: ConnectionSettings): Promise<void> {
  const migrations = await readMigrations();
  const session = await openSession(settings);
  await migrate(session, migrations.slice(0, -1), { engineVersion: 'test' });
  await session.close();
  await execute(settings, BEFORE_THE_LAST);
  const again = await openSession(settings);
  await migrate(again, migrations, { engineVersion: 'test' });
  await again.close();
  await execute(settings, CONTENTS);
}

/** Runs statements, and returns the rows of the last one. */
export async function execute<Row>(settings: ConnectionSettings, statements: string[]): Promise<Row[]> {
  const client = new pg.Client(poolConfig(settings));
  await client.connect();
  try {
    await client.query("LOAD 'age'");
    let rows: Row[] = [];
    for (const statement of statements) rows = (await client.query(statement)).rows as Row[];
    return rows;
  } finally {
    await client.end();
  }
}

/** What Cypher says of every vertex and edge of every graph, and what tables hold beyond it, as text. */
export async function readAll(settings: ConnectionSettings): Promise<Record<string, unknown[]>> {
  const graphs = await execute<{ name: string }>(settings, [
    'SELECT name FROM ag_catalog.ag_graph ORDER BY 1',
  ]);
  const found: Record<string, unknown[]> = {};
  for (const { name } of graphs) {
    found[`vertices of ${name}`] = await execute(settings, [
      `SELECT v FROM cypher('${name}', $$ MATCH (n) RETURN n $$) AS (v agtype) ORDER BY v`,
    ]);
    found[`edges of ${name}`] = await execute(settings, [
      `SELECT a, e, b FROM cypher('${name}', $$ MATCH (a)-[e]->(b) RETURN id(a), e, id(b) $$) AS (a agtype, e agtype, b agtype) ORDER BY e`,
    ]);
  }
  for (const table of [
    '"odd schema"."tab ""le"',
    'parent',
    'child',
    'measured',
    'kg_api.config_version',
    'kg_operator.schema_migrations',
  ])
    found[table] = await execute(settings, [`SELECT md5(t::text) AS row FROM ${table} t ORDER BY 1`]);
  return found;
}
