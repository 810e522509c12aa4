import { setTimeout as sleep } from 'node:timers/promises';
import type { MigrationSession } from '../database/session.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import type { SchemaObservation } from '../model/observation.ts';
import type { Migration } from './files.ts';

/** A row of `kg_operator.schema_migrations`. */
export interface AppliedMigration {
  id: string;
  checksum: string;
  kind: string;
  applied_at: Date;
  duration_ms: number;
  engine_version: string;
}

export interface MigrateOptions {
  engineVersion: string;
  /** How long to wait for another runner, in milliseconds. */
  lockTimeoutMs?: number;
  /** Called before each migration. */
  onStart?: (migration: Migration) => void;
}

const LEDGER = `
  CREATE SCHEMA IF NOT EXISTS kg_operator;
  CREATE TABLE IF NOT EXISTS kg_operator.schema_migrations (
    id             text PRIMARY KEY,
    checksum       text NOT NULL,
    kind           text NOT NULL,
    applied_at     timestamptz NOT NULL DEFAULT now(),
    duration_ms    integer NOT NULL,
    engine_version text NOT NULL
  );`;

// Any constant serves, as long as every version of the engine uses the same: the first 31 bits of SHA-256("kg-operator/migrate").
const LOCK_KEY = 573_126_100;
const LOCK_POLL_MS = 250;

/** The ledger, oldest first; empty when there is none yet. */
export async function readLedger(session: Pick<MigrationSession, 'query'>): Promise<AppliedMigration[]> {
  const [ledger] = await session.query<{ exists: boolean }>(
    `SELECT to_regclass('kg_operator.schema_migrations') IS NOT NULL AS exists`,
  );
  if (!ledger?.exists) return [];
  return session.query<AppliedMigration>('SELECT * FROM kg_operator.schema_migrations ORDER BY id');
}

/** What is applied and what is not. */
export function compareWithLedger(ids: string[], applied: Pick<AppliedMigration, 'id'>[]): SchemaObservation {
  const done = new Set(applied.map(({ id }) => id));
  return {
    head: applied.at(-1)?.id ?? null,
    applied: applied.length,
    pending: ids.filter((id) => !done.has(id)),
  };
}

/**
 * Applies every pending migration, each in its own transaction together with its ledger row, under an advisory lock.
 * Returns the ids it applied, in order; running it again returns none.
 * @throws OperatorError SCHEMA_NEWER, MIGRATION_CHANGED, MIGRATION_FAILED, MIGRATION_LOCKED
 */
export async function migrate(
  session: MigrationSession,
  migrations: Migration[],
  options: MigrateOptions,
): Promise<string[]> {
  return withLock(session, options.lockTimeoutMs ?? 60_000, async () => {
    await session.query(LEDGER);
    const applied = await readLedger(session);
    assertHistoryFits(migrations, applied);
    const { pending } = compareWithLedger(
      migrations.map(({ id }) => id),
      applied,
    );
    for (const migration of migrations.filter(({ id }) => pending.includes(id))) {
      options.onStart?.(migration);
      await applyOne(session, migration, options.engineVersion);
    }
    return pending;
  });
}

async function applyOne(
  session: MigrationSession,
  migration: Migration,
  engineVersion: string,
): Promise<void> {
  const started = performance.now();
  try {
    await session.applyInTransaction(migration.sql, async (transaction) => {
      await transaction.query(
        'INSERT INTO kg_operator.schema_migrations (id, checksum, kind, duration_ms, engine_version) VALUES ($1, $2, $3, $4, $5)',
        [
          migration.id,
          migration.checksum,
          migration.kind,
          Math.round(performance.now() - started),
          engineVersion,
        ],
      );
    });
  } catch (error) {
    const position = Number((error as { position?: string }).position);
    const line = position > 0 ? migration.sql.slice(0, position).split('\n').length : null;
    throw new OperatorError(
      'MIGRATION_FAILED',
      `schema/migrations/${migration.id}.sql${line ? `:${line}` : ''}: ${messageOf(error)}`,
      {
        exitCode: EXIT.schema,
        hint:
          error instanceof OperatorError && error.hint
            ? error.hint
            : 'nothing of this file was applied; the migrations before it stay applied',
        cause: error,
      },
    );
  }
}

/** Refuses a database that a newer engine migrated, and files that changed after they were applied. */
export function assertHistoryFits(
  migrations: Migration[],
  applied: Pick<AppliedMigration, 'id' | 'checksum'>[],
): void {
  const known = new Map(migrations.map((migration) => [migration.id, migration.checksum]));
  const unknown = applied.filter(({ id }) => !known.has(id)).map(({ id }) => id);
  if (unknown.length > 0) {
    throw new OperatorError(
      'SCHEMA_NEWER',
      `the database has migrations that this engine does not know: ${unknown.join(', ')}`,
      {
        exitCode: EXIT.schema,
        hint: 'use the engine version that applied them, or a newer one',
      },
    );
  }
  const changed = applied.filter(({ id, checksum }) => known.get(id) !== checksum).map(({ id }) => id);
  if (changed.length > 0) {
    throw new OperatorError(
      'MIGRATION_CHANGED',
      `files that were applied have changed since: ${changed.map((id) => `${id}.sql`).join(', ')}`,
      {
        exitCode: EXIT.schema,
        hint: 'restore the files as they were applied, and put the change in a new migration',
      },
    );
  }
}

// Polled, never blocking: a session blocked in pg_advisory_lock deadlocks against CREATE INDEX CONCURRENTLY of the one that holds it.
async function withLock<T>(session: MigrationSession, timeoutMs: number, run: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const [row] = await session.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1) AS locked', [
      LOCK_KEY,
    ]);
    if (row?.locked) break;
    if (performance.now() > deadline) throw await lockedBy(session);
    await sleep(LOCK_POLL_MS);
  }
  try {
    return await run();
  } finally {
    // The lock also ends with the connection, so a failing unlock must not hide the first error.
    await session.query('SELECT pg_advisory_unlock($1)', [LOCK_KEY]).catch(() => undefined);
  }
}

async function lockedBy(session: MigrationSession): Promise<OperatorError> {
  const holders = await session.query<{ pid: number; client: string }>(
    `SELECT l.pid, coalesce(host(a.client_addr), 'local') AS client
       FROM pg_locks l JOIN pg_stat_activity a USING (pid)
      WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 0 AND l.objid = $1`,
    [LOCK_KEY],
  );
  const who = holders.map(({ pid, client }) => `PostgreSQL process ${pid} from ${client}`).join(', ');
  return new OperatorError(
    'MIGRATION_LOCKED',
    `another migration is running: ${who || 'its holder just left'}`,
    {
      exitCode: EXIT.locked,
      hint: 'wait for it to end and run the command again',
    },
  );
}
