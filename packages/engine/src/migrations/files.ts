import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type Header, HeaderError, parseHeader } from './header.ts';

export type { MigrationKind, TransactionMode } from './header.ts';

export interface Migration extends Header {
  /** The file's name without `.sql`, such as `0001_platform`. */
  id: string;
  /** Its leading digits; migrations are applied in this order. */
  number: number;
  /** The path as messages name it. */
  file: string;
  /** The text as it is sent and kept: line endings are LF, a byte order mark is gone. */
  sql: string;
  /** SHA-256 in hexadecimal of the text without blanks at the ends of lines and of the file. */
  checksum: string;
  /** The same of the whole text: what version 0.1.0 wrote into its ledgers. */
  checksumOfWhole: string;
  /** The text of `ID.verify.sql`, or null. */
  verify: string | null;
}

const FILE_NAME = /^((\d{4,14})_[A-Za-z0-9_-]+)(\.verify)?\.sql$/;
const NAME_RULE =
  'name it NNNN_words.sql: 4 to 14 digits, an underscore, then letters, digits, _ and -; its check NNNN_words.verify.sql';

interface Listing {
  ids: string[];
  /** Ids that have a `.verify.sql`. */
  verified: Set<string>;
}

/** Ids of the migrations in a folder, in order, without reading them. @throws as readMigrations does for names */
export async function listMigrationIds(directory = migrationsDirectory()): Promise<string[]> {
  return listFolder(directory).ids;
}

/**
 * The migrations of a folder, in order. What in it does not end in `.sql` is nobody's business.
 * @throws OperatorError MIGRATION_DIRECTORY where there is no migration at all, MIGRATION_DUPLICATE for a repeated number,
 * MIGRATION_INVALID for a bad name, a text that is not UTF-8 and a header that makes no sense
 */
export async function readMigrations(directory = migrationsDirectory()): Promise<Migration[]> {
  const { ids, verified } = listFolder(directory);
  // One after the other and synchronously: for thousands of small files that takes a third of the time.
  return ids.map((id) =>
    toMigration(
      id,
      readText(directory, `${id}.sql`),
      verified.has(id) ? readText(directory, `${id}.verify.sql`) : null,
      displayPath(directory, `${id}.sql`),
    ),
  );
}

/** A migration of a text. @throws OperatorError MIGRATION_INVALID */
export function toMigration(
  id: string,
  text: string,
  verify: string | null = null,
  file = `schema/migrations/${id}.sql`,
): Migration {
  const sql = normalise(text);
  if (sql.includes('\0')) throw invalid(file, 'there is a NUL byte in it', 'save it as UTF-8 text');
  let header: Header;
  try {
    header = parseHeader(sql);
  } catch (error) {
    if (!(error instanceof HeaderError)) throw error;
    throw invalid(`${file}:${error.line}`, error.message, 'correct the header of the file');
  }
  const stripped = sql.replace(/[ \t\r\f\v]+$/gm, '').trimEnd();
  return {
    id,
    number: numberOf(id),
    file,
    sql,
    checksum: sha256(stripped),
    // Only asked for where a ledger of version 0.1.0 is met.
    get checksumOfWhole() {
      return sha256(sql);
    },
    verify: verify === null ? null : normalise(verify),
    ...header,
  };
}

/** The number an id begins with. */
export function numberOf(id: string): number {
  return Number.parseInt(id, 10);
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

function listFolder(directory: string): Listing {
  let names: string[];
  try {
    names = readdirSync(directory).filter((name) => name.endsWith('.sql'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw noMigrations(
      code === 'ENOENT' ? `there is no folder ${directory}` : `${directory} can't be read (${code})`,
    );
  }
  const byNumber = new Map<number, string>();
  const verified = new Set<string>();
  for (const name of names) {
    const [, id, digits, isVerify] = FILE_NAME.exec(name) ?? [];
    if (id === undefined || digits === undefined)
      throw invalid(displayPath(directory, name), 'its name says no number', NAME_RULE);
    if (isVerify) {
      verified.add(id);
      continue;
    }
    const other = byNumber.get(Number(digits));
    if (other) throw duplicate(directory, `${other}.sql`, name);
    byNumber.set(Number(digits), id);
  }
  if (byNumber.size === 0) throw noMigrations(`there is no migration in ${directory}`);
  const ids = [...byNumber].sort(([a], [b]) => a - b).map(([, id]) => id);
  const known = new Set(ids);
  for (const id of verified)
    if (!known.has(id))
      throw invalid(
        displayPath(directory, `${id}.verify.sql`),
        `there is no ${id}.sql that it could check`,
        'rename it as its migration is named',
      );
  return { ids, verified };
}

function readText(directory: string, name: string): string {
  const bytes = readFileSync(join(directory, name));
  if (isUtf8(bytes)) return bytes.toString('utf8');
  throw invalid(displayPath(directory, name), 'it is not UTF-8', 'convert it, for example with iconv');
}

function normalise(text: string): string {
  return text.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n');
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** As a person at the shell would write it; our own folder as the documentation calls it. */
function displayPath(directory: string, name: string): string {
  const path = join(directory, name);
  const short = relative(process.cwd(), path);
  if (!short.startsWith('..')) return short;
  return path.endsWith(join('schema', 'migrations', name)) ? `schema/migrations/${name}` : path;
}

function invalid(where: string, why: string, hint: string): OperatorError {
  return new OperatorError('MIGRATION_INVALID', `${where}: ${why}`, { exitCode: EXIT.schema, hint });
}

function duplicate(directory: string, first: string, second: string): OperatorError {
  const names = [first, second].sort();
  return new OperatorError(
    'MIGRATION_DUPLICATE',
    `${displayPath(directory, names[1] as string)}: ${names[0]} has the same number`,
    {
      exitCode: EXIT.schema,
      hint: 'give the one that is not applied anywhere yet the next free number',
    },
  );
}

function noMigrations(why: string): OperatorError {
  return new OperatorError('MIGRATION_DIRECTORY', why, {
    exitCode: EXIT.precondition,
    hint: 'name the folder that holds the migrations with --dir; nothing was looked at in the database',
  });
}
