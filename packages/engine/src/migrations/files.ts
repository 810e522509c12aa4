import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EXIT, OperatorError } from '../model/errors.ts';

/** `expand`: the previous application version still runs on the new schema; `contract`: it does not. */
export type MigrationKind = 'expand' | 'contract';

export interface Migration {
  /** The file's name without `.sql`, such as `0001_platform`; names sort in order of application. */
  id: string;
  kind: MigrationKind;
  sql: string;
  /** SHA-256 of the text, line endings normalised to LF, in hexadecimal. */
  checksum: string;
}

const FILE_NAME = /^(\d{4}_[a-z0-9_]+)\.sql$/;
const KIND_LINE = /^-- kind: (expand|contract)$/;

/** Ids of the migrations in a folder, in order, without reading them. */
export async function listMigrationIds(directory = migrationsDirectory()): Promise<string[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort();
  const numbers = new Map<string, string>();
  return names.map((name) => {
    const id = FILE_NAME.exec(name)?.[1];
    if (!id) throw invalid(name, 'its name is not NNNN_lower_case_words.sql');
    const number = id.slice(0, 4);
    const other = numbers.get(number);
    if (other) throw invalid(name, `${other} has the same number`);
    numbers.set(number, name);
    return id;
  });
}

/**
 * The migrations of a folder, in order.
 * @throws OperatorError MIGRATION_INVALID for a bad name, a repeated number or a missing kind.
 */
export async function readMigrations(directory = migrationsDirectory()): Promise<Migration[]> {
  const ids = await listMigrationIds(directory);
  return Promise.all(
    ids.map(async (id) => {
      const sql = (await readFile(join(directory, `${id}.sql`), 'utf8')).replaceAll('\r\n', '\n');
      const kind = KIND_LINE.exec(sql.slice(0, sql.indexOf('\n')))?.[1] as MigrationKind | undefined;
      if (!kind)
        throw invalid(`${id}.sql`, 'its first line must be "-- kind: expand" or "-- kind: contract"');
      return { id, kind, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

/** `KG_MIGRATIONS_DIR`, the folder inside the package, or the one of the repository. */
export function migrationsDirectory(): string {
  const here = fileURLToPath(new URL('.', import.meta.url));
  // Bundled, this file is dist/*.js or dist/commands/**/*.js; as source, src/migrations/files.ts.
  const candidates = ['..', '../..', '../../..', '../../../..'].map((up) =>
    join(here, up, 'schema', 'migrations'),
  );
  const found = [process.env.KG_MIGRATIONS_DIR, ...candidates].find((path) => path && existsSync(path));
  if (!found) throw new Error(`no schema/migrations beside ${here}`);
  return found;
}

function invalid(file: string, why: string): OperatorError {
  return new OperatorError('MIGRATION_INVALID', `schema/migrations/${file}: ${why}`, {
    exitCode: EXIT.schema,
  });
}
