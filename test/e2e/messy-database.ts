/**
 * SQL that fills an empty database with all that makes dumps difficult. The statements run one after the other on a connection with
 * `search_path = public, ag_catalog`.
 */
export const MESSY = String.raw`
CREATE EXTENSION age;
CREATE EXTENSION vector;
CREATE SCHEMA "odd ""schema""
with a line";
CREATE TYPE mood AS ENUM ('sad', 'o''k', 'hap"py', 'ünï');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);
CREATE COLLATION plain (provider = builtin, locale = 'C');
COMMENT ON TYPE mood IS 'a comment; with $$ and '' and
a line';

CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.touched := 'yes'; RETURN NEW; END $f$;

CREATE TABLE every_type (
  id bigint GENERATED ALWAYS AS IDENTITY (START WITH 7 INCREMENT BY 5) PRIMARY KEY,
  n numeric, f float8, r real, d date, t timestamp, tz timestamptz, i interval, m mood, p positive, c pair, b bytea, j jsonb, js json,
  a int[][], ta text[], u uuid, ip inet, rng tstzrange, bits varbit, money money, x xml, tsv tsvector, v vector(3), s text COLLATE plain,
  flag boolean, ch char(5), g agtype, doubled int GENERATED ALWAYS AS (twice(7)) STORED, touched text DEFAULT 'no'
);
INSERT INTO every_type (n, f, r, d, t, tz, i, m, p, c, b, j, js, a, ta, u, ip, rng, bits, money, x, tsv, v, s, flag, ch, g) VALUES
  ('NaN', 'Infinity', '-Infinity', 'infinity', '-infinity', 'infinity', '1 year -2 days 03:04:05.000006', 'ünï', 1, (1, E'x\ty'),
   '\x00ff5c0a0d09', '{"a": [1, null, "\u00e4\\n"], "b": 1.10}', '{"a" :  1}', '{{1,2},{3,NULL}}', ARRAY['', NULL, 'a,b', '"', '\', E'\n'],
   '00000000-0000-0000-0000-000000000001', '::1/64', '[2020-01-01,)', B'10101', 12.34, '<a b="c">&amp;</a>', 'a:1 b:2', '[1,-2.5,1e-7]',
   E'back\\slash\ttab\nline\r return \x01 and \\. and \\N', true, 'ab', '{"k": 1.0}'),
  (123456789012345678901234567890.123456789, 0.1, 1e-40, '4713-01-01 BC', '0001-01-01 BC', '1883-11-18 12:03:57-07:52:58', '-1 mon', 'sad', 2,
   NULL, '', 'null', '[]', '{}', '{}', NULL, '10.0.0.1', 'empty', B'', -0.01, NULL, '', '[0,0,0]', '\.', false, '', '[1, 2.5::numeric]');
INSERT INTO every_type (s) SELECT NULLIF(repeat(chr(8364 + i % 90), i % 3000), '') FROM generate_series(1, 2000) i;
CREATE TRIGGER touch BEFORE UPDATE ON every_type FOR EACH ROW EXECUTE FUNCTION touched();
CREATE INDEX "index ""odd""" ON every_type (lower(s)) WHERE id > 10;
CREATE INDEX ON every_type USING gin (j);
CREATE INDEX ON every_type USING hnsw (v vector_l2_ops);
CREATE STATISTICS stat ON n, f FROM every_type;

CREATE TABLE "odd ""schema""
with a line"."tab""le
of 'names' \ ünï" ("select" int, "a""b" text, "new
line" text DEFAULT 'x''y', dropped int);
ALTER TABLE "odd ""schema""
with a line"."tab""le
of 'names' \ ünï" DROP COLUMN dropped;
INSERT INTO "odd ""schema""
with a line"."tab""le
of 'names' \ ünï" VALUES (1, '\N', NULL), (2, NULL, '');

CREATE TABLE measured (at date NOT NULL, value int, id serial) PARTITION BY RANGE (at);
CREATE TABLE measured_old PARTITION OF measured FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE measured_new PARTITION OF measured FOR VALUES FROM ('2020-01-01') TO (MAXVALUE) PARTITION BY HASH (value);
CREATE TABLE measured_new_0 PARTITION OF measured_new FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE measured_new_1 PARTITION OF measured_new FOR VALUES WITH (MODULUS 2, REMAINDER 1);
ALTER TABLE measured ADD PRIMARY KEY (at, id, value);
INSERT INTO measured (at, value) SELECT date '2019-06-01' + i, i FROM generate_series(1, 500) i;

CREATE TABLE parent (id int PRIMARY KEY, name text);
CREATE TABLE child (extra text) INHERITS (parent);
INSERT INTO parent VALUES (1, 'p');
INSERT INTO child VALUES (2, 'c', 'e');
CREATE TABLE refers (parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED, self int, id int PRIMARY KEY);
ALTER TABLE refers ADD FOREIGN KEY (self) REFERENCES refers;
INSERT INTO refers VALUES (1, 2, 1), (1, 1, 2);
ALTER TABLE refers ADD CONSTRAINT not_checked CHECK (id > 1) NOT VALID;
CREATE TABLE empty (id int);
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 3);
CREATE TABLE only_generated (g int GENERATED ALWAYS AS (1) STORED);
INSERT INTO only_generated DEFAULT VALUES;
CREATE UNLOGGED TABLE unlogged (id int);
INSERT INTO unlogged VALUES (1);
CREATE TABLE widths (id int, s text);
INSERT INTO widths SELECT i, repeat('x', (i * 7919) % 1900) FROM generate_series(1, 3000) i;
DELETE FROM widths WHERE id % 3 = 0;
UPDATE widths SET s = s || 'y' WHERE id % 5 = 0;

CREATE SEQUENCE lonely AS smallint START 5 MAXVALUE 9 CYCLE;
CREATE SEQUENCE called; SELECT setval('called', 42);
CREATE SEQUENCE not_called; SELECT setval('not_called', 42, false);

CREATE VIEW simple AS SELECT id, s FROM every_type WHERE id < 20;
CREATE VIEW needs_key AS SELECT p.id, p.name, count(*) AS n FROM parent p JOIN refers r ON r.parent = p.id GROUP BY p.id;
CREATE RULE no_delete AS ON DELETE TO simple DO INSTEAD NOTHING;
CREATE MATERIALIZED VIEW sums AS SELECT value % 3 AS k, sum(value) FROM measured GROUP BY 1;
CREATE UNIQUE INDEX ON sums (k);
CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS one WITH NO DATA;

ALTER TABLE refers ENABLE ROW LEVEL SECURITY;
ALTER TABLE refers FORCE ROW LEVEL SECURITY;
CREATE ROLE messy_reader;
CREATE ROLE "messy ""owner""";
CREATE POLICY own ON refers FOR SELECT TO messy_reader USING (id > 1);
GRANT SELECT (id, s), UPDATE (s) ON every_type TO messy_reader;
ALTER TABLE empty OWNER TO "messy ""owner""";
ALTER DEFAULT PRIVILEGES FOR ROLE "messy ""owner""" GRANT SELECT ON TABLES TO messy_reader;
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watched ON sql_drop EXECUTE FUNCTION watch();

SELECT create_graph('first');
SELECT create_graph('Second-graph.v2');
SELECT create_graph('hollow');
SELECT create_vlabel('first', 'Empty');
SELECT * FROM cypher('first', $$ CREATE (a:Person {name: 'A', f: 1.5, n: 1.25::numeric, big: 9223372036854775807, s: "quote \" back\\slash ü"})
  -[:KNOWS {w: 2}]->(b:Person {name: 'B', list: [1, {x: null}], t: true}), (b)-[:LIKES]->(:Thing), (a)-[:KNOWS]->(b), ({plain: 1}) $$) AS (r agtype);
SELECT * FROM cypher('first', $$ UNWIND range(1, 300) AS i CREATE (:Many {i: i})-[:NEXT]->(:Many {i: -i}) $$) AS (r agtype);
SELECT * FROM cypher('first', $$ MATCH (n:Many) WHERE n.i % 7 = 0 DETACH DELETE n $$) AS (r agtype);
SELECT * FROM cypher('Second-graph.v2', $$ CREATE (:Émile {name: 'ü'})-[:knows_of]->(:B) $$) AS (r agtype);
CREATE INDEX person_name ON first."Person" USING gin (properties);
CREATE UNIQUE INDEX ON first."Many" (id);
CREATE VIEW people AS SELECT * FROM cypher('first', $$ MATCH (n:Person) RETURN n, n.name AS name $$) AS (n agtype, name agtype);
CREATE VIEW people_keyed AS SELECT p.id, p.name, count(*) AS n FROM parent p, people GROUP BY p.id;
CREATE MATERIALIZED VIEW people_kept AS SELECT name FROM people;
CREATE FUNCTION someone() RETURNS agtype LANGUAGE sql AS 'SELECT n FROM people LIMIT 1';
`;
