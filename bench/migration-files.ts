import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface File {
  name: string;
  sql: string;
}

/** A small file: a table, an index, a comment and a row; every tenth with a function whose body has a BEGIN of its own. */
export function smallFile(n: number): File {
  const table = `app.small_${n}`;
  const body = `
CREATE TABLE ${table} (
  id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name  text NOT NULL CHECK (name <> ''),
  state text NOT NULL DEFAULT 'new',
  at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX small_${n}_state ON ${table} (state, at);
COMMENT ON TABLE ${table} IS 'it''s number ${n}; no more';
INSERT INTO ${table} (name) VALUES ('first');
`;
  const touch = `
CREATE FUNCTION app.touch_${n}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.at := now();
  RETURN NEW;
END;
$$;
CREATE TRIGGER touch BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION app.touch_${n}();
`;
  return { name: `small_${n}`, sql: body + (n % 10 === 0 ? touch : '') };
}

/** A large file, about 200 kB: 3,000 rows, or every fifth 150 functions. */
export function largeFile(n: number): File {
  if (n % 5 === 0) {
    const functions = Array.from(
      { length: 150 },
      (
        _,
        i,
      ) => `CREATE FUNCTION app.report_${n}_${i}(since timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE AS $body$
DECLARE
  total bigint := 0;
BEGIN
${Array.from({ length: 20 }, (_, line) => `  total := total + coalesce((SELECT ${line} WHERE since > now()), 0); -- it's line ${line}`).join('\n')}
  RETURN total;
END;
$body$;`,
    );
    return { name: `large_${n}`, sql: `${functions.join('\n')}\n` };
  }
  const rows = Array.from(
    { length: 3000 },
    (_, i) => `  (${i}, 'name ${i} of ${n}', 'a text; with ''quotes'' and -- dashes', '{"n": ${i}}')`,
  );
  return {
    name: `large_${n}`,
    sql: `
CREATE TABLE app.large_${n} (id int PRIMARY KEY, name text NOT NULL, note text, data jsonb);
INSERT INTO app.large_${n} VALUES
${rows.join(',\n')};
CREATE INDEX large_${n}_name ON app.large_${n} (name);
`,
  };
}

/** The same files as each tool wants them: in folders beneath `root`, and all in one. */
export function writeFolders(
  root: string,
  files: File[],
): Record<'ours' | 'dbmate' | 'nodePgMigrate' | 'plain' | 'all', string> {
  const folders = {
    ours: join(root, 'ours'),
    dbmate: join(root, 'dbmate'),
    nodePgMigrate: join(root, 'node-pg-migrate'),
    plain: join(root, 'plain'),
    all: join(root, 'all.sql'),
  };
  for (const folder of [folders.ours, folders.dbmate, folders.nodePgMigrate, folders.plain])
    mkdirSync(folder, { recursive: true });
  files.forEach(({ name, sql }, index) => {
    const file = `${String(index + 1).padStart(6, '0')}_${name}.sql`;
    writeFileSync(join(folders.ours, file), `-- kind: expand\n${sql}`);
    writeFileSync(join(folders.dbmate, file), `-- migrate:up\n${sql}\n-- migrate:down\n`);
    writeFileSync(join(folders.nodePgMigrate, file), `-- Up Migration\n${sql}\n-- Down Migration\n`);
    writeFileSync(join(folders.plain, file), sql);
  });
  writeFileSync(folders.all, files.map(({ sql }) => sql).join('\n'));
  return folders;
}
