import type { MigrationSession } from '../database/session.ts';
import { actor } from '../database/session.ts';
import { migrationFailed } from './failure.ts';
import type { MigrationKind } from './files.ts';
import { assertHistoryFits } from './history.ts';
import { inspectDatabase } from './ledger.ts';
import { takeRunnerLock } from './lock.ts';
import { type MigrateOptions, pendingOf } from './migrate.ts';
import { type Prepared, prepareAll } from './preflight.ts';
import { parseStatements, SqlSyntaxError } from './statements.ts';
import { beginSql, RESET_ROLE, rollBack, withLockRetries } from './transaction.ts';
import { runVerify } from './verification.ts';

export interface StatementReport {
  /** 1-based; null where the text could not be split. */
  line: number | null;
  /** PostgreSQL's word for it, such as `UPDATE`. */
  command: string;
  /** Rows it returned or changed; null where PostgreSQL does not count. */
  rows: number | null;
}

export interface DryRunMigration {
  id: string;
  kind: MigrationKind;
  /** Why it was not run; null when it was. */
  skipped: string | null;
  /** Milliseconds. */
  durationMs: number;
  statements: StatementReport[];
  /** Locks on tables, views, sequences and indexes that were there before the dry run; kept until the end of the transaction. */
  locks: { relation: string; mode: string }[];
  /** Rows changed by its statements, and by what they set off. */
  tables: { table: string; inserted: number; updated: number; deleted: number }[];
}

/**
 * Runs the pending migrations in one transaction, reports what each did, and rolls it back: no row, no table and no ledger remains.
 * Sequences that were advanced stay so: PostgreSQL never takes that back. The locks are real until the end.
 * @throws OperatorError as migrate does
 */
export async function dryRun(
  session: MigrationSession,
  migrations: Parameters<typeof pendingOf>[0],
  options: MigrateOptions,
): Promise<DryRunMigration[]> {
  const state = await inspectDatabase(session);
  const lock = await takeRunnerLock(session, state.pid, {
    waitMs: options.waitMs ?? 0,
    signal: options.signal,
    ...(options.onWait ? { onWait: options.onWait } : {}),
  });
  const { engineVersion, lockTimeoutMs = 5000, statementTimeoutMs = 0 } = options;
  const context = {
    ...{ session, pid: state.pid, control: lock.control, sessionSetup: state.sessionSetup },
    ...{ engineVersion, lockTimeoutMs, statementTimeoutMs, actor: options.actor ?? actor(), lockRetryMs: 0 },
  };
  try {
    const { entries } = await inspectDatabase(session);
    await assertHistoryFits(session, migrations, entries);
    const prepared = await prepareAll(pendingOf(migrations, entries));
    if (state.sessionSetup) await session.script(state.sessionSetup);
    const reports: DryRunMigration[] = [];
    const known = await relationNames(session);
    await session.query('BEGIN');
    const seen: Seen = { locks: new Set(), tables: new Map() };
    // What this session did before may not have been counted yet.
    await whatChanged(session, known, seen);
    for (const item of prepared) {
      const { migration } = item;
      const skipped = whySkipped(item);
      const base = { id: migration.id, kind: migration.kind, skipped, durationMs: 0 };
      if (skipped) {
        reports.push({ ...base, statements: [], locks: [], tables: [] });
        continue;
      }
      options.onStart?.(migration);
      const started = performance.now();
      let statements: StatementReport[] = [];
      // BEGIN inside a transaction only warns; its settings are what is wanted of it.
      const prefix = beginSql(context, migration, true).replace(/^BEGIN ;/, '');
      await withLockRetries(context, migration, lockTimeoutMs, async () => {
        statements = await runOne(session, item, prefix);
      }).catch(async (error) => {
        const earlier = reports.find((report) => report.skipped);
        const outcome = `nothing was written${earlier ? `; ${earlier.id} was skipped, and this one may need it` : ''}`;
        throw await migrationFailed(
          migration,
          error,
          { prefix: `${prefix}\n`, prefixStatements: 3, text: migration.sql, offset: 0 },
          outcome,
        );
      });
      const durationMs = Math.round(performance.now() - started);
      reports.push({ ...base, durationMs, statements, ...(await whatChanged(session, known, seen)) });
    }
    return reports;
  } finally {
    await rollBack(context);
    await lock.release();
  }
}

function whySkipped({ units, contained }: Prepared): string | null {
  if (units) return 'it runs outside a transaction';
  return contained ? null : 'it could not be parsed here, so that it might end the transaction';
}

async function runOne(session: MigrationSession, item: Prepared, prefix: string): Promise<StatementReport[]> {
  const { sql } = item.migration;
  const results = (await session.script(`${prefix}\n${sql}`)).slice(3);
  const statements = await parseStatements(sql).catch((error) => {
    if (error instanceof SqlSyntaxError) return []; // the server understood it; only the lines are not known then
    throw error;
  });
  await session.script(RESET_ROLE);
  await runVerify(session, item);
  return results.map(({ command, rowCount }, index) => ({
    line: statements.length === results.length ? (statements[index]?.line ?? null) : null,
    command,
    rows: rowCount,
  }));
}

interface Seen {
  locks: Set<string>;
  tables: Map<string, { inserted: number; updated: number; deleted: number }>;
}

/** Names by oid, of what was there before; a relation that is dropped has no name any more. */
async function relationNames(session: MigrationSession): Promise<Map<number, string>> {
  const rows = await session.query<{ oid: number; name: string }>(
    `SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')`,
  );
  return new Map(rows.map(({ oid, name }) => [oid, name]));
}

/** What is new since the last look, of what the transaction holds and has changed. */
async function whatChanged(
  session: MigrationSession,
  known: Map<number, string>,
  seen: Seen,
): Promise<Pick<DryRunMigration, 'locks' | 'tables'>> {
  const held = await session.query<{ oid: number; mode: string }>(
    `SELECT DISTINCT relation AS oid, mode FROM pg_locks
      WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  );
  const locks = held
    .filter(({ oid, mode }) => known.has(oid) && !seen.locks.has(`${oid} ${mode}`))
    .map(({ oid, mode }) => ({ relation: known.get(oid) as string, mode, key: `${oid} ${mode}` }));
  for (const { key } of locks) seen.locks.add(key);

  const counted = await session.query<{ table: string; inserted: number; updated: number; deleted: number }>(
    `SELECT format('%I.%I', schemaname, relname) AS table,
            n_tup_ins::float8 AS inserted, n_tup_upd::float8 AS updated, n_tup_del::float8 AS deleted
       FROM pg_stat_xact_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0`,
  );
  const tables = counted.flatMap(({ table, ...now }) => {
    const before = seen.tables.get(table) ?? { inserted: 0, updated: 0, deleted: 0 };
    seen.tables.set(table, now);
    const inserted = now.inserted - before.inserted;
    const updated = now.updated - before.updated;
    const deleted = now.deleted - before.deleted;
    return inserted + updated + deleted > 0 ? [{ table, inserted, updated, deleted }] : [];
  });
  return {
    locks: locks
      .map(({ relation, mode }) => ({ relation, mode }))
      .sort((a, b) => (`${a.relation} ${a.mode}` < `${b.relation} ${b.mode}` ? -1 : 1)),
    tables: tables.sort((a, b) => (a.table < b.table ? -1 : 1)),
  };
}
