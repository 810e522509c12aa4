import { readdirSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, OperatorError } from '../model/errors.ts';
import { listMigrationIds } from './files.ts';
import type { MigrationKind } from './header.ts';

/** Of a number in a folder that has none yet. */
const WIDTH = 6;

/**
 * Makes the next migration of a folder, and the folder if need be. Returns the file's path.
 * @throws OperatorError MIGRATION_NAME, and as listMigrationIds does for a folder in disorder
 */
export async function newMigration(directory: string, slug: string, kind: MigrationKind): Promise<string> {
  const words = slug
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '');
  if (words === '')
    throw new OperatorError('MIGRATION_NAME', `"${slug}" has no letter or digit to name a file by`, {
      exitCode: EXIT.usage,
      hint: 'say in a few words what it does, such as add_invoices',
    });
  await mkdir(directory, { recursive: true });
  const isEmpty = !readdirSync(directory).some((name) => name.endsWith('.sql'));
  const ids = isEmpty ? [] : await listMigrationIds(directory);
  const path = join(directory, `${nextNumber(ids)}_${words}.sql`);
  // wx: should somebody else have made it in this moment, theirs stays.
  const file = await open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'EEXIST' ? alreadyThere(path) : error;
  });
  try {
    await file.writeFile(template(kind, words.replaceAll('_', ' ')));
  } finally {
    await file.close();
  }
  return path;
}

/** One more than the last, as wide as that one is written. */
export function nextNumber(ids: string[]): string {
  const last = /^\d+/.exec(ids.at(-1) ?? '')?.[0];
  return last === undefined ? '1'.padStart(WIDTH, '0') : String(BigInt(last) + 1n).padStart(last.length, '0');
}

function template(kind: MigrationKind, description: string): string {
  return `-- kind: ${kind}
-- description: ${description}
--
-- kind         expand: only adds; the application that runs now goes on running. contract: takes away what it no longer needs.
-- description  one line for "migrate status".
-- More keys, where needed: "transaction: none" for CREATE INDEX CONCURRENTLY and the like, alone in their file;
-- "timeout: 5min" for one statement; "lock-timeout: 5s" for waiting on locks.
-- The whole file is one transaction, which the runner begins and commits. Write names with their schema: app.invoices.
-- "kg-operator migrate lint" says what is dangerous, "kg-operator migrate --dry-run" shows what would be locked.

`;
}

function alreadyThere(path: string): OperatorError {
  return new OperatorError('MIGRATION_NAME', `${path} was made by somebody else in this moment`, {
    exitCode: EXIT.schema,
    hint: 'run the command again for the next number',
  });
}
