import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Writes `count` migrations of every kind into a folder: tables with rows, functions, indexes built CONCURRENTLY, blocks of their own,
 * checks. Each appends its number to table log.
 */
export async function writeManyMigrations(directory: string, count: number): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (let n = 1; n <= count; n += 1) {
    const id = `${String(n).padStart(4, '0')}_step`;
    const { sql, verify } = n === 1 ? FIRST : (KINDS[n % KINDS.length] as Kind)(n);
    await writeFile(join(directory, `${id}.sql`), sql);
    if (verify) await writeFile(join(directory, `${id}.verify.sql`), verify);
  }
}

interface Text {
  sql: string;
  verify?: string;
}
type Kind = (n: number) => Text;

const FIRST: Text = {
  sql: `-- kind: expand
-- Where AGE is preloaded nothing can be dropped in a database without it.
CREATE EXTENSION IF NOT EXISTS age;
CREATE TABLE log (file int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE big (id int PRIMARY KEY, a int NOT NULL, b text NOT NULL);
INSERT INTO big SELECT g, g % 97, 'text ' || g FROM generate_series(1, 60000) g;
INSERT INTO log (file) VALUES (1);
`,
};

const KINDS: Kind[] = [
  (n) => ({
    sql: `-- kind: expand\nCREATE TABLE t${n} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
INSERT INTO t${n} (name) SELECT 'row ' || g FROM generate_series(1, 500) g;\nINSERT INTO log (file) VALUES (${n});\n`,
    verify: `SELECT count(*) FROM t${n} HAVING count(*) <> 500;\n`,
  }),
  (n) => ({
    sql: `-- kind: expand\n-- transaction: none\nSET maintenance_work_mem = '16MB';\nINSERT INTO log (file) VALUES (${n});
CREATE INDEX CONCURRENTLY big_${n} ON big (a, (id + ${n}));\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS big_${n}_unique ON public.big (b, a);
DROP INDEX CONCURRENTLY big_${n}_unique;\n`,
  }),
  (n) => ({
    sql: `-- kind: expand\nCREATE FUNCTION f${n}(x int) RETURNS int LANGUAGE plpgsql AS $body$\nBEGIN\n  -- COMMIT; this is no statement\n  RETURN x + ${n};\nEND;\n$body$;
SELECT pg_sleep(0.01);\nINSERT INTO log (file) VALUES (f${n}(0));\n`,
  }),
  (n) => ({
    sql: `-- kind: contract\n-- transaction: own\nBEGIN;\nALTER TABLE big ADD COLUMN c${n} int;\nINSERT INTO log (file) VALUES (${n});\nCOMMIT;
BEGIN;\nUPDATE big SET c${n} = a WHERE id <= 2000;\nCOMMIT;\nVACUUM log;\nCREATE VIEW v${n} AS SELECT id, c${n} FROM big;\n`,
  }),
  (n) => ({
    sql: `-- kind: expand\nDO $$ BEGIN EXECUTE format('CREATE TABLE d${n} (id int DEFAULT %s)', ${n}); END $$;
INSERT INTO d${n} DEFAULT VALUES;\nINSERT INTO log (file) SELECT id FROM d${n};\n`,
  }),
];
