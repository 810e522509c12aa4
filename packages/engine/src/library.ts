import { readFileSync } from 'node:fs';
import { type ConnectionSettings, parseDatabaseUrl, Secret } from '@kg-operator/config';
import { openSession } from './database/session.ts';
import { readMigrations } from './migrations/files.ts';
import { type AppliedNow, type MigrateOptions, migrate as run } from './migrations/migrate.ts';
import { readStatus, type StatusReport } from './migrations/status.ts';

/*
 * `kg-operator/migrate`: the migration runner for programs of others, on any PostgreSQL and any folder. Its types are in ../migrate.d.ts.
 */
export { OperatorError as MigrationError } from './model/errors.ts';

export interface Target {
  /** `postgres://user:password@host:port/database?sslmode=…`, or its parts. */
  connection: string | (Omit<ConnectionSettings, 'password'> & { password: string });
  /** The folder with the migrations. */
  directory: string;
}

/**
 * Applies what is pending of a folder, as `kg-operator migrate --dir` does; names are found as the database's own search_path has them.
 * @throws MigrationError with `code`, `exitCode`, `hint` and `details`
 */
export async function migrate(options: Target & Partial<MigrateOptions>): Promise<AppliedNow[]> {
  const migrations = await readMigrations(options.directory);
  const session = await open(options);
  try {
    return await run(session, migrations, { engineVersion: version(), ...options });
  } finally {
    await session.close();
  }
}

/** What is applied, what is pending, and what does not fit; changes nothing. */
export async function status(options: Target): Promise<StatusReport> {
  const migrations = await readMigrations(options.directory);
  const session = await open(options);
  try {
    return await readStatus(session, migrations);
  } finally {
    await session.close();
  }
}

function open({ connection }: Target) {
  const settings =
    typeof connection === 'string'
      ? parseDatabaseUrl(connection)
      : { ...connection, password: new Secret(connection.password) };
  return openSession(settings, { searchPath: 'server' });
}

function version(): string {
  return JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;
}
