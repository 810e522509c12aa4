import { resolve } from 'node:path';
import { parseDatabaseUrl } from '@kg-operator/config';
import { Flags } from '@oclif/core';
import type { SessionOptions } from '../database/session.ts';
import { migrationsDirectory } from '../migrations/files.ts';

/** Where the migrations are. */
export const folderFlag = {
  dir: Flags.string({
    description: "the folder with the migrations; without it the platform's own",
    helpValue: 'DIR',
  }),
};

/** Which database. */
export const databaseFlag = {
  'database-url': Flags.string({
    description: 'the PostgreSQL; better in the environment, as DATABASE_URL',
    helpValue: 'URL',
  }),
};

/** The folder that is meant, absolute. */
export function folderOf({ dir }: { dir?: string | undefined }): string {
  return dir === undefined ? migrationsDirectory() : resolve(dir);
}

/** Migrations of one's own find names as psql would on that server; the platform's as its connections do. */
export function searchPathOf({
  dir,
}: {
  dir?: string | undefined;
}): NonNullable<SessionOptions['searchPath']> {
  return dir === undefined && !process.env.KG_MIGRATIONS_DIR ? 'platform' : 'server';
}

/** The environment with the database that a flag names, and a warning where a password was in it. @throws DatabaseUrlInvalid */
export function environmentOf(
  flags: { 'database-url'?: string | undefined },
  warn: (text: string) => void,
): NodeJS.ProcessEnv {
  const url = flags['database-url'];
  if (url === undefined) return process.env;
  if (parseDatabaseUrl(url, { POSTGRES_PASSWORD: '-' }).password.reveal() !== '-')
    warn('the password in --database-url can be seen in the process list: use DATABASE_URL instead');
  return { ...process.env, DATABASE_URL: url };
}
