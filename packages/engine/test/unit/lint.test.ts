import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { exitCodeOf, FILE_RULES, lint } from '../../src/lint/lint.ts';
import { readFolder } from '../../src/lint/read.ts';
import { RULES } from '../../src/lint/rules/index.ts';

const HEADER = '-- kind: expand\n';
const CONTRACT = '-- kind: contract\n';
const NONE = `${HEADER}-- transaction: none\n`;

/** What each rule finds, and what is so close to it that a rule by pattern would find it too. */
const SAMPLES: Record<string, { finds: string[]; not: string[] }> = {
  'missing-kind': { finds: ['SELECT 1'], not: [`${HEADER}SELECT 1`] },
  'unqualified-name': {
    finds: [
      `${HEADER}CREATE TABLE t ()`,
      `${HEADER}ALTER TABLE t ADD COLUMN a int`,
      `${HEADER}CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
      `${CONTRACT}DROP VIEW v`,
      `${HEADER}INSERT INTO t VALUES (1)`,
    ],
    not: [
      `${HEADER}CREATE TEMP TABLE t (); INSERT INTO t VALUES (1)`,
      `${HEADER}SET LOCAL search_path = s; CREATE TABLE t ()`,
      `${HEADER}CREATE TABLE s.t (); CREATE TRIGGER x BEFORE INSERT ON s.t EXECUTE FUNCTION s.f()`,
      `${CONTRACT}DROP TRIGGER x ON s.t; DROP EXTENSION hstore; DROP SCHEMA s`,
    ],
  },
  'ban-if-not-exists': {
    finds: [
      `${HEADER}CREATE TABLE IF NOT EXISTS s.t ()`,
      `${HEADER}ALTER TABLE s.t ADD COLUMN IF NOT EXISTS a int`,
      `${NONE}CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON s.t (a)`,
    ],
    not: [`${HEADER}CREATE EXTENSION IF NOT EXISTS age`, `${HEADER}COMMENT ON TABLE s.t IS 'IF NOT EXISTS'`],
  },
  'security-definer-search-path': {
    finds: [`${HEADER}CREATE FUNCTION s.f() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'`],
    not: [
      `${HEADER}CREATE FUNCTION s.f() RETURNS int SECURITY DEFINER SET search_path = '' LANGUAGE sql AS 'SELECT 1'`,
      `${HEADER}CREATE FUNCTION s.f() RETURNS int SECURITY INVOKER LANGUAGE sql AS 'SELECT 1'`,
    ],
  },
  'transaction-nesting': {
    finds: [`${HEADER}BEGIN; SELECT 1; COMMIT`, `${HEADER}START TRANSACTION`],
    not: [
      `${HEADER}-- transaction: own\nBEGIN; SELECT 1; COMMIT`,
      `${HEADER}SAVEPOINT a; ROLLBACK TO a; RELEASE a`,
      `${HEADER}DO $$ BEGIN NULL; END $$`,
      `${HEADER}SELECT 'BEGIN; COMMIT;'`,
    ],
  },
  'ban-in-transaction': {
    finds: [
      `${HEADER}CREATE INDEX CONCURRENTLY i ON s.t (a)`,
      `${CONTRACT}DROP INDEX CONCURRENTLY s.i`,
      `${HEADER}VACUUM s.t`,
      `${HEADER}ALTER SYSTEM SET work_mem = '1MB'`,
      `${HEADER}CREATE DATABASE d`,
      `${HEADER}REINDEX SCHEMA s`,
      `${HEADER}ALTER TABLE s.p DETACH PARTITION s.c CONCURRENTLY`,
    ],
    not: [
      `${NONE}CREATE INDEX CONCURRENTLY i ON s.t (a)`,
      `${HEADER}ANALYZE s.t`,
      `${HEADER}REINDEX TABLE s.t`,
    ],
  },
  'needless-transaction-none': {
    finds: [`${NONE}CREATE TABLE s.t ()`, `${HEADER}-- transaction: own\nSELECT 1`],
    not: [`${NONE}VACUUM s.t`, `${HEADER}-- transaction: own\nBEGIN; COMMIT`],
  },
  'mixed-transaction-none': {
    finds: [`${NONE}CREATE INDEX CONCURRENTLY i ON s.t (a); CREATE TABLE s.u ()`],
    not: [`${NONE}SET maintenance_work_mem = '1GB'; CREATE INDEX CONCURRENTLY i ON s.t (a)`],
  },
  'enum-value-in-transaction': {
    finds: [`${HEADER}ALTER TYPE s.e ADD VALUE 'x'; UPDATE s.t SET e = 'x' WHERE a = 1`],
    not: [
      `${HEADER}ALTER TYPE s.e ADD VALUE 'x'; UPDATE s.t SET e = 'y' WHERE a = 1`,
      `${HEADER}CREATE TYPE s.e AS ENUM (); ALTER TYPE s.e ADD VALUE 'x'; SELECT 'x'::s.e`,
    ],
  },
  'set-without-local': {
    finds: [
      `${HEADER}SET search_path = s`,
      `${HEADER}SELECT set_config('search_path', 's', false)`,
      `${NONE}SET LOCAL lock_timeout = '1s'; VACUUM s.t`,
    ],
    not: [
      `${HEADER}SET LOCAL search_path = s`,
      `${HEADER}SELECT set_config('search_path', 's', true)`,
      `${NONE}SET lock_timeout = '1s'; VACUUM s.t`,
    ],
  },
  'server-wide-change': {
    finds: [`${HEADER}CREATE ROLE r`, `${NONE}ALTER SYSTEM SET work_mem = '1MB'`],
    not: [`${HEADER}GRANT SELECT ON s.t TO r`],
  },
  'require-concurrent-partition-detach': {
    finds: [`${CONTRACT}ALTER TABLE s.p DETACH PARTITION s.c`],
    not: [`${NONE}ALTER TABLE s.p DETACH PARTITION s.c CONCURRENTLY`],
  },
  'ban-drop-table': {
    finds: [`${HEADER}DROP TABLE s.t`, `${HEADER}DROP TABLE IF EXISTS s.t; CREATE TABLE s.t ()`],
    not: [`${CONTRACT}DROP TABLE s.t`, `${HEADER}CREATE TABLE s.t (); DROP TABLE s.t`],
  },
  'ban-drop-column': {
    finds: [`${HEADER}ALTER TABLE s.t DROP COLUMN a`],
    not: [`${CONTRACT}ALTER TABLE s.t DROP COLUMN a`, `${HEADER}ALTER TABLE s.t DROP CONSTRAINT a`],
  },
  'ban-drop-object': {
    finds: [`${HEADER}DROP VIEW s.v`, `${HEADER}DROP FUNCTION s.f(int)`, `${HEADER}DROP SCHEMA s`],
    not: [
      `${HEADER}DROP VIEW s.v; CREATE VIEW s.v AS SELECT 1`,
      `${HEADER}DROP FUNCTION s.f(int); CREATE FUNCTION s.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'`,
      `${HEADER}DROP TRIGGER x ON s.t; DROP POLICY p ON s.t`,
      `${CONTRACT}DROP VIEW s.v`,
    ],
  },
  'renaming-table': {
    finds: [`${HEADER}ALTER TABLE s.t RENAME TO u`, `${HEADER}ALTER TABLE s.t SET SCHEMA u`],
    not: [`${CONTRACT}ALTER TABLE s.t RENAME TO u`, `${HEADER}ALTER INDEX s.i RENAME TO j`],
  },
  'renaming-column': {
    finds: [
      `${HEADER}ALTER TABLE s.t RENAME COLUMN a TO b`,
      `${HEADER}ALTER TYPE s.e RENAME VALUE 'a' TO 'b'`,
    ],
    not: [`${CONTRACT}ALTER TABLE s.t RENAME a TO b`, `${HEADER}ALTER TABLE s.t RENAME CONSTRAINT a TO b`],
  },
  'dropping-default': {
    finds: [`${HEADER}ALTER TABLE s.t ALTER COLUMN a DROP DEFAULT`],
    not: [`${HEADER}ALTER TABLE s.t ALTER COLUMN a SET DEFAULT 1`],
  },
  'ban-drop-cascade': {
    finds: [`${CONTRACT}DROP TABLE s.t CASCADE`, `${CONTRACT}ALTER TABLE s.t DROP COLUMN a CASCADE`],
    not: [`${CONTRACT}DROP TABLE s.t`],
  },
  'delete-without-where': {
    finds: [`${HEADER}DELETE FROM s.t`],
    not: [`${HEADER}DELETE FROM s.t WHERE a = 1`, `${HEADER}CREATE TABLE s.t (); DELETE FROM s.t`],
  },
  'ban-truncate': {
    finds: [`${HEADER}TRUNCATE s.t CASCADE`],
    not: [`${HEADER}CREATE TABLE s.t (); TRUNCATE s.t`],
  },
  'require-concurrent-index-creation': {
    finds: [`${HEADER}CREATE INDEX i ON s.t (a)`, `${HEADER}CREATE TABLE s.u (); CREATE INDEX i ON s.t (a)`],
    not: [
      `${HEADER}CREATE TABLE s.t (a int); CREATE INDEX i ON s.t (a)`,
      `${HEADER}CREATE TABLE s.t AS SELECT 1 AS a; CREATE INDEX i ON s.t (a)`,
      `${HEADER}SELECT ag_catalog.create_vlabel('ggg', 'C'); CREATE INDEX i ON ggg."C" (id)`,
      `${HEADER}CREATE SCHEMA s CREATE TABLE t (a int); CREATE INDEX i ON s.t (a)`,
    ],
  },
  'require-concurrent-index-deletion': {
    finds: [`${CONTRACT}DROP INDEX s.i`],
    not: [
      `${NONE}DROP INDEX CONCURRENTLY s.i`,
      `${HEADER}CREATE TABLE s.t (); CREATE INDEX i ON s.t (a); DROP INDEX s.i`,
    ],
  },
  'require-concurrent-reindex': {
    finds: [`${HEADER}REINDEX TABLE s.t`],
    not: [`${NONE}REINDEX TABLE CONCURRENTLY s.t`],
  },
  'require-concurrent-refresh': {
    finds: [`${HEADER}REFRESH MATERIALIZED VIEW s.m`],
    not: [
      `${HEADER}REFRESH MATERIALIZED VIEW CONCURRENTLY s.m`,
      `${HEADER}CREATE MATERIALIZED VIEW s.m AS SELECT 1; REFRESH MATERIALIZED VIEW s.m`,
    ],
  },
  'changing-column-type': {
    finds: [
      `${CONTRACT}ALTER TABLE s.t ALTER COLUMN a TYPE bigint`,
      `${HEADER}ALTER TABLE s.t ALTER a TYPE text`,
    ],
    not: [`${HEADER}CREATE TABLE s.t (a int); ALTER TABLE s.t ALTER COLUMN a TYPE bigint`],
  },
  'adding-field-with-default': {
    finds: [
      `${HEADER}ALTER TABLE s.t ADD COLUMN a uuid DEFAULT gen_random_uuid()`,
      `${HEADER}ALTER TABLE s.t ADD COLUMN a bigserial`,
      `${HEADER}ALTER TABLE s.t ADD COLUMN a bigint GENERATED ALWAYS AS IDENTITY`,
      `${HEADER}ALTER TABLE s.t ADD COLUMN a text DEFAULT 'x' || random()::text`,
    ],
    not: [
      `${HEADER}ALTER TABLE s.t ADD COLUMN a timestamptz NOT NULL DEFAULT now()`,
      `${HEADER}ALTER TABLE s.t ADD COLUMN a text DEFAULT 'random()'`,
    ],
  },
  'adding-stored-generated-column': {
    finds: [`${HEADER}ALTER TABLE s.t ADD COLUMN b int GENERATED ALWAYS AS (a + 1) STORED`],
    not: [`${HEADER}ALTER TABLE s.t ADD COLUMN b int GENERATED ALWAYS AS (a + 1) VIRTUAL`],
  },
  'rewriting-table': {
    finds: [
      `${NONE}VACUUM FULL s.t`,
      `${HEADER}CLUSTER s.t USING i`,
      `${HEADER}ALTER TABLE s.t SET UNLOGGED`,
    ],
    not: [`${NONE}VACUUM s.t`],
  },
  'update-without-where': {
    finds: [`${HEADER}UPDATE s.t SET a = 1`],
    not: [`${HEADER}UPDATE s.t SET a = 1 WHERE a IS NULL`],
  },
  'adding-required-field': {
    finds: [`${HEADER}ALTER TABLE s.t ADD COLUMN a int NOT NULL`],
    not: [
      `${HEADER}ALTER TABLE s.t ADD COLUMN a int NOT NULL DEFAULT 0`,
      `${HEADER}ALTER TABLE s.t ADD COLUMN a int`,
      `${HEADER}CREATE TABLE s.t (); ALTER TABLE s.t ADD COLUMN a int NOT NULL`,
    ],
  },
  'adding-not-nullable-field': {
    finds: [
      `${CONTRACT}ALTER TABLE s.t ALTER COLUMN a SET NOT NULL`,
      `${HEADER}ALTER TABLE s.t ALTER a SET NOT NULL`,
    ],
    not: [
      `${CONTRACT}ALTER TABLE s.t VALIDATE CONSTRAINT c; ALTER TABLE s.t ALTER COLUMN a SET NOT NULL`,
      `${HEADER}ALTER TABLE s.t ALTER COLUMN a DROP NOT NULL`,
    ],
  },
  'adding-foreign-key-constraint': {
    finds: [
      `${HEADER}ALTER TABLE s.t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES s.u (id)`,
      `${HEADER}ALTER TABLE s.t ADD COLUMN a bigint REFERENCES s.u (id)`,
    ],
    not: [`${HEADER}ALTER TABLE s.t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES s.u (id) NOT VALID`],
  },
  'constraint-missing-not-valid': {
    finds: [`${HEADER}ALTER TABLE s.t ADD CONSTRAINT c CHECK (a > 0)`],
    not: [
      `${HEADER}ALTER TABLE s.t ADD CONSTRAINT c CHECK (a > 0) NOT VALID`,
      `${HEADER}ALTER TABLE s.t ADD COLUMN b int CHECK (b > 0)`,
    ],
  },
  'validating-in-same-transaction': {
    finds: [
      `${HEADER}ALTER TABLE s.t ADD CONSTRAINT c CHECK (a > 0) NOT VALID; ALTER TABLE s.t VALIDATE CONSTRAINT c`,
    ],
    not: [`${HEADER}ALTER TABLE s.t VALIDATE CONSTRAINT c`],
  },
  'disallowed-unique-constraint': {
    finds: [
      `${HEADER}ALTER TABLE s.t ADD UNIQUE (a)`,
      `${HEADER}ALTER TABLE s.t ADD CONSTRAINT p PRIMARY KEY (a)`,
    ],
    not: [`${HEADER}ALTER TABLE s.t ADD CONSTRAINT u UNIQUE USING INDEX i`],
  },
  'age-view-over-cypher': {
    finds: [
      `${HEADER}CREATE VIEW s.v AS SELECT * FROM ag_catalog.cypher('ggg', $$ MATCH (n) RETURN n $$) AS (n ag_catalog.agtype)`,
    ],
    not: [
      `${HEADER}CREATE TABLE s.t AS SELECT * FROM ag_catalog.cypher('ggg', $$ MATCH (n) RETURN n $$) AS (n ag_catalog.agtype)`,
      `${HEADER}CREATE VIEW s.v AS SELECT 'cypher()'`,
    ],
  },
  'age-search-path': {
    finds: [
      `${HEADER}CREATE EXTENSION age; SELECT ag_catalog.create_graph('ggg')`,
      `${HEADER}SET LOCAL search_path = public; SELECT ag_catalog.create_vlabel('ggg', 'C')`,
    ],
    not: [
      `${HEADER}CREATE EXTENSION age; SET LOCAL search_path = ag_catalog, public; SELECT create_graph('ggg')`,
      `${HEADER}SELECT ag_catalog.create_graph('ggg')`,
    ],
  },
  'age-drop-graph': {
    finds: [
      `${CONTRACT}SELECT ag_catalog.create_graph('ggg'); DROP SCHEMA ggg CASCADE`,
      `${CONTRACT}SELECT ag_catalog.create_graph('ggg'); DROP TABLE ggg."C"`,
      `${HEADER}SELECT ag_catalog.drop_graph('ggg', true)`,
    ],
    not: [`${CONTRACT}SELECT ag_catalog.drop_graph('ggg', true)`, `${CONTRACT}DROP SCHEMA s`],
  },
  'age-catalog-dml': {
    finds: [
      `${HEADER}UPDATE ag_catalog.ag_graph SET graphid = 1 WHERE name = 'g'`,
      `${HEADER}TRUNCATE ag_catalog.ag_label`,
    ],
    not: [`${HEADER}SELECT * FROM ag_catalog.ag_graph`],
  },
  'age-property-index': {
    finds: [
      `${HEADER}SELECT ag_catalog.create_graph('ggg'); CREATE INDEX i ON ggg."C" ((properties -> '"name"'::ag_catalog.agtype))`,
    ],
    not: [
      `${HEADER}SELECT ag_catalog.create_graph('ggg'); CREATE INDEX i ON ggg."C" (ag_catalog.agtype_access_operator(properties, '"name"'))`,
      `${HEADER}CREATE INDEX i ON s.t ((properties -> 'name'))`,
    ],
  },
  'age-merge-scan': {
    finds: [
      `${HEADER}SELECT * FROM cypher('ggg', $$ MERGE (n:C {name: 'a'}) $$) AS (n agtype)`,
      `${HEADER}SELECT * FROM cypher('ggg', $$ MATCH (a:C {name: 'a'}) RETURN a $$) AS (n agtype)`,
    ],
    not: [
      `${HEADER}SELECT * FROM cypher('ggg', $$ MATCH (a:C) WHERE a.name = 'a' CREATE (:D {b: 1}) $$) AS (n agtype)`,
      `${HEADER}SELECT 'MERGE (n {a: 1})'`,
    ],
  },
  'prefer-text-field': {
    finds: [`${HEADER}CREATE TABLE s.t (a varchar(20))`, `${HEADER}ALTER TABLE s.t ADD COLUMN a char(2)`],
    not: [`${HEADER}CREATE TABLE s.t (a varchar, b text)`],
  },
  'prefer-timestamp-tz': {
    finds: [`${HEADER}CREATE TABLE s.t (a timestamp)`],
    not: [`${HEADER}CREATE TABLE s.t (a timestamptz, b timestamp with time zone)`],
  },
  'prefer-identity': {
    finds: [`${HEADER}CREATE TABLE s.t (a serial)`],
    not: [`${HEADER}CREATE TABLE s.t (serial int)`],
  },
  'prefer-bigint-over-int': {
    finds: [
      `${HEADER}CREATE TABLE s.t (id int PRIMARY KEY)`,
      `${HEADER}CREATE TABLE s.t (id int, PRIMARY KEY (id))`,
    ],
    not: [
      `${HEADER}CREATE TABLE s.t (id bigint PRIMARY KEY, n int)`,
      `${HEADER}CREATE TABLE s.t (a int, b int, PRIMARY KEY (a, b))`,
    ],
  },
  'prefer-jsonb': {
    finds: [`${HEADER}CREATE TABLE s.t (a json)`],
    not: [`${HEADER}CREATE TABLE s.t (a jsonb)`],
  },
};

const rulesIn = async (sql: string, name = '0001_x.sql') =>
  (await lint([{ name, sql }])).findings.map(({ rule }) => rule);

describe('rules', () => {
  test('each has samples, and samples are of rules', () => {
    expect(Object.keys(SAMPLES).sort()).toEqual(RULES.map(({ name }) => name).sort());
  });

  test.each(Object.entries(SAMPLES).flatMap(([rule, { finds }]) => finds.map((sql) => [rule, sql])))(
    '%s finds %j',
    async (rule, sql) => expect(await rulesIn(sql)).toContain(rule),
  );

  test.each(Object.entries(SAMPLES).flatMap(([rule, { not }]) => not.map((sql) => [rule, sql])))(
    '%s leaves %j alone',
    async (rule, sql) => expect(await rulesIn(sql)).not.toContain(rule),
  );

  test('what an expand file narrows is an error; in a contract file it is a lock to know of', async () => {
    const severity = async (sql: string) => (await lint([{ name: 'x.sql', sql }])).findings[0]?.severity;
    for (const change of ['ALTER COLUMN a TYPE bigint', 'ALTER COLUMN a SET NOT NULL']) {
      expect(await severity(`${HEADER}ALTER TABLE s.t ${change}`)).toBe('error');
      expect(await severity(`${CONTRACT}ALTER TABLE s.t ${change}`)).toBe('warning');
    }
  });

  test('a finding names the place, also after characters of several bytes', async () => {
    const sql = `${HEADER}-- é😀\nSELECT 'é';\nALTER TABLE s.t ADD COLUMN a int,\n  ADD COLUMN "é😀" int, ADD COLUMN b int NOT NULL;`;
    expect((await lint([{ name: 'a/0001_x.sql', sql }])).findings).toMatchObject([
      {
        rule: 'adding-required-field',
        file: 'a/0001_x.sql',
        line: 5,
        column: 35,
        message: 's.t.b is NOT NULL and has no default',
      },
    ]);
  });

  test('a graph of one file is known in another', async () => {
    const { findings } = await lint([
      { name: '0001_a.sql', sql: `${HEADER}SELECT ag_catalog.create_graph('ggg')` },
      { name: '0002_b.sql', sql: `${CONTRACT}DROP SCHEMA ggg` },
    ]);
    expect(findings).toMatchObject([{ rule: 'age-drop-graph', file: '0002_b.sql' }]);
  });
});

describe('files', () => {
  test.each([
    ['syntax-error', `${HEADER}SELECT frm x;\\d`, 1],
    ['not-resumable', `${HEADER}-- transaction: own\nBEGIN; SELECT 1`, 1],
    ['not-resumable', `${NONE}CREATE INDEX CONCURRENTLY ON s.t (a)`, 1],
    ['header-invalid', '-- kind: explode\nSELECT 1', 1],
    ['header-invalid', '-- knd: expand\nSELECT 1', 1],
  ])('%s: %j', async (rule, sql) => {
    const report = await lint([{ name: 'x.sql', sql }]);
    expect(report.findings).toMatchObject([{ rule, severity: 'error' }]);
  });

  test('a check may only read', async () => {
    expect(await rulesIn('WITH a AS (SELECT 1) SELECT * FROM a', 'x.verify.sql')).toEqual([]);
    for (const sql of ['DELETE FROM s.t', 'SELECT 1 INTO s.t', 'SELECT 1; COMMIT'])
      expect(await rulesIn(sql, 'x.verify.sql')).toEqual(['verify-only-reads']);
  });

  test('exit codes: errors fail, warnings with --strict, advice never', async () => {
    const report = (sql: string) => lint([{ name: 'x.sql', sql }]);
    expect(exitCodeOf(await report(`${HEADER}TRUNCATE s.t`), false)).toBe(8);
    expect(exitCodeOf(await report(`${HEADER}CREATE INDEX i ON s.t (a)`), false)).toBe(0);
    expect(exitCodeOf(await report(`${HEADER}CREATE INDEX i ON s.t (a)`), true)).toBe(8);
    expect(exitCodeOf(await report(`${HEADER}CREATE TABLE s.t (a json)`), true)).toBe(0);
  });
});

describe('-- lint: allow RULE because REASON', () => {
  const truncate = 'TRUNCATE s.t;';
  test.each([
    `-- lint: allow ban-truncate because it is a cache\n${truncate}`,
    `TRUNCATE -- lint: allow ban-truncate because it is a cache\n  s.t;`,
    `SELECT 1;\n-- why\n-- lint: allow ban-truncate because it is a cache\n\n${truncate}`,
  ])('%j allows it', async (sql) => {
    expect(await lint([{ name: 'x.sql', sql: HEADER + sql }])).toMatchObject({ findings: [], allowed: 1 });
  });

  test.each([
    ['-- lint: allow ban-truncate', ['invalid-suppression', 'ban-truncate']],
    ['-- lint: allow no-such-rule because x', ['invalid-suppression', 'ban-truncate']],
    ['-- lint: ignore', ['invalid-suppression', 'ban-truncate']],
    ['-- lint: allow ban-drop-table because x', ['invalid-suppression', 'ban-truncate']],
    [`SELECT '\n-- lint: allow ban-truncate because x';`, ['ban-truncate']],
    [
      'SELECT 1; -- lint: allow ban-truncate because of another statement\nSELECT 2;',
      ['invalid-suppression', 'ban-truncate'],
    ],
  ])('%j does not', async (comment, rules) => {
    expect(await rulesIn(`${HEADER}SELECT 0;\n${comment}\n${truncate}`)).toEqual(rules);
  });

  test('before the first statement it also allows what is found in the file as a whole', async () => {
    const sql = `${HEADER}-- transaction: none\n-- lint: allow needless-transaction-none because it is long\nSELECT 1`;
    expect(await rulesIn(sql)).toEqual([]);
  });
});

test('our own migrations have nothing that is not allowed with a reason', async () => {
  // The first three were released before there was a linter, and what was applied never changes.
  const { findings, files } = await lint(await readFolder('schema/migrations', '0003_local_extraction'));
  expect(files).toBeGreaterThan(0);
  expect(findings.map(({ file, line, rule, message }) => `${file}:${line} ${rule}: ${message}`)).toEqual([]);
});

test('docs/migrations.md says of each rule what, why and the safe way', () => {
  const docs = readFileSync('docs/migrations.md', 'utf8');
  for (const [name, { severity, finds, why, instead }] of [
    ...Object.entries(FILE_RULES),
    ...RULES.map((rule) => [rule.name, rule] as const),
  ])
    expect(docs).toContain(`| \`${name}\` | ${severity} | ${finds} | ${why} | ${instead} |`);
});
