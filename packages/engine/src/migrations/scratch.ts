import { randomBytes } from 'node:crypto';
import { type ConnectionSettings, Secret } from '@kg-operator/config';
import { type MigrationSession, openSession, type SessionOptions } from '../database/session.ts';
import { optimize } from '../database/webassembly.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { literal } from './ledger.ts';

export interface ScratchOptions extends SessionOptions {
  /** Aborted: what runs in the scratch database is ended, and it is dropped. */
  signal?: AbortSignal;
  /** Told of leftovers that were dropped. */
  onRemark?: (text: string) => void;
}

const PREFIX = 'kg_operator_scratch_';
/** A scratch database nobody is connected to is a leftover once it is older than this; until then somebody may be about to connect. */
const LEFTOVER_AFTER_S = 120;

/**
 * Runs `use` on an empty database beside the one of `settings`: a new one on the same server, or where that is an embedded database,
 * one in memory. It is dropped afterwards whatever happens; what a killed run left behind is dropped by the next one.
 * @throws OperatorError SCRATCH_REFUSED where the server makes no database for this role, INTERRUPTED, and whatever `use` throws
 */
export async function withScratch<T>(
  settings: ConnectionSettings,
  options: ScratchOptions,
  use: (session: MigrationSession) => Promise<T>,
): Promise<T> {
  const admin = await openSession(settings, options);
  try {
    const [server] = await admin.query<{ version: string }>('SELECT version() AS version');
    if (server?.version.includes('PGlite')) return await inMemory(options, use);
    await dropLeftovers(admin, options);
    return await onServer(admin, settings, options, use);
  } finally {
    await admin.close();
  }
}

async function onServer<T>(
  admin: MigrationSession,
  settings: ConnectionSettings,
  options: ScratchOptions,
  use: (session: MigrationSession) => Promise<T>,
): Promise<T> {
  // The time is in the name because PostgreSQL keeps none of when a database was made.
  const database = `${PREFIX}${Math.floor(Date.now() / 1000)}_${randomBytes(4).toString('hex')}`;
  try {
    await admin.query(`CREATE DATABASE ${database}`);
  } catch (error) {
    throw refused(error);
  }
  // Ending its connections also ends a statement of minutes.
  const drop = () => admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
  const { signal } = options;
  const onAbort = () => void drop().catch(() => undefined); // tried again below, where a failure is seen
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    await copySettings(admin, database);
    const session = await openSession({ ...settings, database }, options);
    try {
      return await use(session);
    } finally {
      await session.close().catch(() => undefined); // the server may have ended it; the database goes in any case
    }
  } catch (error) {
    throw signal?.aborted ? interrupted() : error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    await drop();
  }
}

/** What ALTER DATABASE … SET says of the live database decides what unqualified names mean in migrations, so it is said here too. */
async function copySettings(admin: MigrationSession, database: string): Promise<void> {
  const rows = await admin.query<{ setting: string }>(
    `SELECT unnest(setconfig) AS setting FROM pg_db_role_setting
      WHERE setrole = 0 AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  );
  for (const { setting } of rows) {
    const [, name = '', value = ''] = /^([^=]+)=(.*)$/s.exec(setting) ?? [];
    // Lists are kept as they were quoted: variable_is_guc_list_quote() in PostgreSQL's src/bin/pg_dump/dumputils.c.
    const isList = /^(search_path|temp_tablespaces|\w+_preload_libraries)$/.test(name);
    await admin.query(`ALTER DATABASE ${database} SET ${name} TO ${isList ? value || "''" : literal(value)}`);
  }
}

async function dropLeftovers(admin: MigrationSession, { onRemark }: ScratchOptions): Promise<void> {
  const leftovers = await admin.query<{ name: string }>(
    `SELECT datname AS name FROM pg_database d
      WHERE datname ~ '^${PREFIX}\\d+_[0-9a-f]{8}$' AND pg_has_role(datdba, 'USAGE')
        AND extract(epoch FROM now()) - split_part(datname, '_', 4)::bigint > ${LEFTOVER_AFTER_S}
        AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)`,
  );
  for (const { name } of leftovers) {
    await admin.query(`DROP DATABASE IF EXISTS ${name}`);
    onRemark?.(`dropped ${name}, which a killed run had left behind`);
  }
}

/** An embedded database is one process with one database: its double is a second one, in memory. */
async function inMemory<T>(
  options: ScratchOptions,
  use: (session: MigrationSession) => Promise<T>,
): Promise<T> {
  const [{ PGlite }, { age }, { serveWire }] = await Promise.all([
    import('@electric-sql/pglite'),
    import('@electric-sql/pglite-age'),
    import('../database/wire.ts'),
  ]);
  optimize();
  const pglite = await PGlite.create({
    extensions: { age },
    startParams: [...PGlite.defaultStartParams, '-c', 'search_path=public,ag_catalog'],
  });
  await pglite.exec("LOAD 'age'");
  const password = new Secret(randomBytes(24).toString('hex'));
  let failure: unknown;
  const onFailure = (error: unknown) => {
    failure ??= error;
  };
  const { port, close } = await serveWire(pglite, { port: 0, password, onFailure });
  try {
    const session = await openSession(
      { host: '127.0.0.1', port, user: 'kg', database: 'kg', password },
      options,
    );
    try {
      return await use(session);
    } finally {
      await session.close();
    }
  } catch (error) {
    throw options.signal?.aborted ? interrupted() : (failure ?? error);
  } finally {
    await close();
    await pglite.close();
  }
}

function refused(error: unknown): OperatorError {
  return new OperatorError(
    'SCRATCH_REFUSED',
    `the server makes no scratch database to replay the migrations in: ${messageOf(error)}`,
    {
      exitCode: EXIT.precondition,
      hint: 'connect as a role that may (ALTER ROLE name CREATEDB), or restore a copy of this database onto a server where you may',
      cause: error,
    },
  );
}

function interrupted(): OperatorError {
  return new OperatorError('INTERRUPTED', 'stopped by a signal; the scratch database is dropped', {
    exitCode: EXIT.interrupted,
    hint: 'run the same command again',
  });
}
