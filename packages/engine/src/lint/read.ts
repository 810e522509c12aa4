import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { listMigrationIds, numberOf } from '../migrations/files.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import type { SourceFile } from './lint.ts';

/**
 * The files of a folder with their checks, in order; with `since` only those after it.
 * @throws OperatorError as listMigrationIds does, and USAGE where `since` is none of them
 */
export async function readFolder(directory: string, since?: string): Promise<SourceFile[]> {
  const ids = await listMigrationIds(directory);
  if (since !== undefined && !ids.includes(since))
    throw new OperatorError(
      'MIGRATION_UNKNOWN',
      `--since ${since}: there is no ${since}.sql in ${directory}`,
      {
        exitCode: EXIT.usage,
        hint: 'name a migration by its file name without .sql',
      },
    );
  return ids
    .filter((id) => since === undefined || numberOf(id) > numberOf(since))
    .flatMap((id) => [`${id}.sql`, `${id}.verify.sql`])
    .map((name) => join(directory, name))
    .filter((path) => existsSync(path))
    .map(readSource);
}

/** A file as the runner would read it, named from the working directory. @throws OperatorError FILE_UNREADABLE */
export function readSource(path: string): SourceFile {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new OperatorError('FILE_UNREADABLE', messageOf(error), { exitCode: EXIT.usage, cause: error });
  }
  const short = relative(process.cwd(), path);
  return {
    name: short.startsWith('..') ? path : short,
    sql: text.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n'),
  };
}
