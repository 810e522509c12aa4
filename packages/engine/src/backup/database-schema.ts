import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionSettings } from '@kg-operator/config';
import pg from 'pg';
import { runProgram } from './database-programs.ts';
import type { DatabaseManifest } from './format.ts';

export interface SchemaRestore {
  /** Of the dump. */
  graphs: DatabaseManifest['graphs'];
  /** Whether the roles that the archives name are there. Otherwise everything will belong to the one who restores. */
  keepOwners: boolean;
  signal: AbortSignal;
}

/** Makes schemas, types, functions, tables and views, in one transaction. @throws OperatorError POSTGRESQL_CLIENT_FAILED */
export async function restorePreData(
  settings: ConnectionSettings,
  archive: Buffer,
  restore: SchemaRestore,
): Promise<void> {
  const { script } = await scriptOf(archive, restore);
  await runScript(settings, script, restore.signal);
}

/**
 * Makes indexes, constraints and triggers, and fills materialised views, `jobs` at once.
 * @throws OperatorError POSTGRESQL_CLIENT_FAILED
 */
export async function restorePostData(
  settings: ConnectionSettings,
  archive: Buffer,
  { jobs, ...restore }: SchemaRestore & { jobs: number },
): Promise<void> {
  const { script, isRewritten } = await scriptOf(archive, restore);
  // A view can be here: one that needs a primary key.
  if (isRewritten) return await runScript(settings, script, restore.signal);
  // Only a file can be read by several jobs. It holds the schema, no rows.
  await removeAbandoned();
  const folder = await mkdtemp(join(tmpdir(), `${FOLDER}${process.pid}-`));
  try {
    const file = join(folder, 'post-data.dump');
    await writeFile(file, archive, { mode: 0o600 });
    const target = [
      `--jobs=${jobs}`,
      '--exit-on-error',
      '--no-password',
      `--dbname=${settings.database}`,
      file,
    ];
    await runProgram('pg_restore', [...archiveOptions(restore), ...target], {
      settings,
      signal: restore.signal,
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const FOLDER = 'kg-restore-';

/** Removes the folders of processes that were killed. */
async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const [, owner] = /^kg-restore-(\d+)-/.exec(name) ?? [];
    if (owner !== undefined && !isRunning(Number(owner)))
      await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // somebody else's
  }
}

function archiveOptions({ keepOwners }: SchemaRestore): string[] {
  return ['--no-tablespaces', ...(keepOwners ? [] : ['--no-owner'])];
}

async function scriptOf(
  archive: Buffer,
  restore: SchemaRestore,
): Promise<{ script: string; isRewritten: boolean }> {
  const options = [...archiveOptions(restore), '--file=-'];
  const output = await runProgram('pg_restore', options, { input: archive, signal: restore.signal });
  const plain = output.toString();
  const script = withGraphNames(plain, restore.graphs);
  return { script, isRewritten: script !== plain };
}

/**
 * A view over cypher() is stored as what AGE made of it, with the oid of the graph as a number, which is another one in every database.
 * Here it becomes a name, which stays right in the next dump as well.
 */
export function withGraphNames(script: string, graphs: SchemaRestore['graphs']): string {
  return graphs.reduce((text, { oid, schema }) => {
    const name = pg.escapeLiteral(pg.escapeIdentifier(schema));
    return text.replaceAll(`'${oid}'::oid`, () => `(${name}::regnamespace)::oid`);
  }, script);
}

async function runScript(settings: ConnectionSettings, script: string, signal: AbortSignal): Promise<void> {
  const options = [
    '--no-psqlrc',
    '--quiet',
    '--no-password',
    '--set=ON_ERROR_STOP=1',
    '--single-transaction',
    '--file=-',
  ];
  await runProgram('psql', options, { settings, input: script, signal });
}
