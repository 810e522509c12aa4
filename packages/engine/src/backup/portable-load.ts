import type { PGlite } from '@electric-sql/pglite';
import type { ConnectionSettings } from '@kg-operator/config';
import type pg from 'pg';
import { openSession } from '../database/session.ts';
import { type Migration, readMigrations } from '../migrations/files.ts';
import { migrate } from '../migrations/migrate.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { connect, qualified } from './database-connection.ts';
import { readTables } from './database-contents.ts';
import { dumpDamaged, loadFailed } from './database-errors.ts';
import { chunkOwners, loadMembers, widest } from './database-load.ts';
import { setDatabaseSettings, setSequences } from './database-restore.ts';
import { openTableWithin, type TableLoad } from './database-table.ts';
import type { DatabaseManifest, DumpedTable, DumpSource, Progress } from './format.ts';
import { makeGraphs } from './portable-graph.ts';
import { readSchema, schemaDifferences } from './portable-schema.ts';
import { type LoadStatements, loadStatements, openEmbeddedTable } from './portable-table.ts';

export interface PortableTarget {
  /** A database that exists and is empty, as a superuser. Of an embedded one nobody else is connected. */
  connection: ConnectionSettings;
  /** The embedded database itself, if it is one: rows can't be sent to it over a connection. */
  pglite: PGlite | null;
}

export interface PortableLoadOptions {
  engineVersion: string;
  signal: AbortSignal;
  onProgress?: ((progress: Progress) => void) | undefined;
}

/**
 * Loads any dump, also one of pg_dump, into an empty database whose schema the migrations up to `schemaHead` make; the dump's own text of
 * the schema is not used. What no migration makes is refused before a row is loaded. After a failure the database is of no use.
 * @returns whether labels were renumbered: an embedded database must then be opened anew before its graphs are read
 * @throws OperatorError RESTORE_IMPOSSIBLE, BACKUP_DAMAGED, LOAD_FAILED, DATABASE_UNREACHABLE, MIGRATION_…; the source's own error; the
 *   signal's reason
 */
export async function loadPortable(
  { connection, pglite }: PortableTarget,
  source: DumpSource,
  { schemaHead, database }: { schemaHead: string | null; database: DatabaseManifest },
  options: PortableLoadOptions,
): Promise<{ renumbered: boolean }> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  try {
    const owners = chunkOwners(database.tables);
    await makeSchema(connection, schemaHead, options.engineVersion);
    // One: settings of an embedded session hold until another connection's turn, and all tables are truncated and filled in one transaction.
    const client = await connect(connection, signal);
    const renumbered = await assertSameSchema(client, database);
    const total = database.tables.reduce((sum, { bytes }) => sum + bytes, 0);
    let done = 0;
    const count = (bytes: number) => {
      done += bytes;
      options.onProgress?.({ done, total });
    };
    await client.query('BEGIN');
    await empty(client);
    const open = await opener(client, pglite, database.tables, count);
    await loadMembers(source, owners, { open, stop: (reason) => stop.abort(reason) });
    await setSequences(client, database.sequences);
    await client.query('COMMIT');
    await setDatabaseSettings(client, database.settings);
    for (const table of database.tables)
      if (table.rows > 0) await client.query(`ANALYZE ${qualified(table)}`);
    await client.end();
    return { renumbered };
  } catch (error) {
    options.signal.throwIfAborted();
    throw loadFailed(error);
  } finally {
    stop.abort(); // ends the connections that are still open
  }
}

/** Migrates an empty database up to a migration. @throws OperatorError RESTORE_IMPOSSIBLE, and what migrate() throws */
async function makeSchema(
  connection: ConnectionSettings,
  head: string | null,
  engineVersion: string,
): Promise<void> {
  const migrations = upTo(await readMigrations(), head);
  const session = await openSession(connection);
  try {
    await migrate(session, migrations, { engineVersion });
  } finally {
    await session.close();
  }
}

function upTo(migrations: Migration[], head: string | null): Migration[] {
  const last = migrations.findIndex(({ id }) => id === head);
  if (head === null || last < 0)
    throw impossible([`its schema ${head ?? 'before the first migration'} is not known here`]);
  return migrations.slice(0, last + 1);
}

/**
 * Makes graphs and labels that are missing, and compares the schema with the one that was saved, name by name. Returns whether labels were
 * renumbered.
 */
async function assertSameSchema(client: pg.Client, saved: DatabaseManifest): Promise<boolean> {
  const { reasons, renumbered } = await makeGraphs(client, saved.graphs);
  const here = await readTables(client);
  const columns = (table: { schema: string; name: string; columns: string[] }) =>
    `table ${table.schema}.${table.name} (${table.columns.toSorted().join(', ')})`;
  const labels = saved.graphs.flatMap(({ schema, labels }) =>
    labels.map(({ table }) => `${schema}.${table}`),
  );
  const isLabel = ({ schema, name }: { schema: string; name: string }) =>
    labels.includes(`${schema}.${name}`);
  reasons.push(
    ...schemaDifferences(saved.schema, await readSchema(client)),
    ...schemaDifferences(saved.tables.filter(isLabel).map(columns), here.filter(isLabel).map(columns)),
    ...saved.roles.map(
      (role) => `no migration makes the role ${role}, which owns something or has a right to it`,
    ),
    ...saved.settings.flatMap(({ role, name }) =>
      role === undefined ? [] : [`no migration sets ${name} for the role ${role}`],
    ),
  );
  if (reasons.length > 0) throw impossible(reasons);
  return renumbered;
}

function impossible([first, ...others]: string[]): OperatorError {
  return new OperatorError(
    'RESTORE_IMPOSSIBLE',
    `the migrations can't make the database of this backup: ${first}`,
    {
      exitCode: EXIT.precondition,
      details: others.slice(0, 20),
      hint: 'nothing was changed. Make it by a migration, or remove it where the backup comes from, and back up again; a backup of containers can always be restored into containers',
    },
  );
}

/** Removes the rows that migrations have made, of all tables at once: some may refer to others. In a transaction. */
async function empty(client: pg.Client): Promise<void> {
  // Triggers and foreign keys are not for rows that have been through them.
  await client.query('SET LOCAL session_replication_role = replica');
  const tables = await readTables(client);
  const own = tables.filter(({ condition }) => condition === null);
  if (own.length > 0) await client.query(`TRUNCATE ONLY ${own.map(qualified).join(', ONLY ')}`);
  for (const table of tables)
    if (table.condition !== null)
      await client.query(`DELETE FROM ONLY ${qualified(table)} ${table.condition}`);
}

/** How tables are loaded, in the transaction that is open on `client`. */
async function opener(
  client: pg.Client,
  pglite: PGlite | null,
  tables: DumpedTable[],
  count: (bytes: number) => void,
): Promise<(table: DumpedTable) => Promise<TableLoad>> {
  if (!pglite) {
    // No portable dump has them, and others are loaded in another way.
    if (widest(tables) > 1) throw dumpDamaged('its tables interleave');
    return async (table) => openTableWithin(client, table, count);
  }
  const statements = new Map<DumpedTable, LoadStatements>();
  for (const table of tables) statements.set(table, await loadStatements(client, table));
  return async (table) => openEmbeddedTable(pglite, table, statements.get(table) as LoadStatements, count);
}
