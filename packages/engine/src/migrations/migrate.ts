import { actor, type MigrationSession } from '../database/session.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { connectionLost } from './failure.ts';
import type { Migration, MigrationKind } from './files.ts';
import { assertHistoryFits, compareWithLedger } from './history.ts';
import {
  type DatabaseState,
  ensureLedger,
  inspectDatabase,
  LEDGER_TABLE,
  type LedgerEntry,
  readContent,
} from './ledger.ts';
import { interrupted, type RunnerLock, takeRunnerLock } from './lock.ts';
import { type Prepared, prepareAll } from './preflight.ts';
import { addDecision, applyUnits, halfApplied, type UnitContext } from './stepwise.ts';
import { applyWhole, resetSql, rollBack } from './transaction.ts';
import type { Blocker } from './watch.ts';

export interface MigrateOptions {
  engineVersion: string;
  /** Who runs this, for the ledger; default `user@host`. */
  actor?: string;
  /** How long to wait for another runner, in milliseconds; default five minutes. */
  waitMs?: number | undefined;
  /** lock_timeout in milliseconds for files that do not say; default 5000. Longer would queue the application's queries behind it. */
  lockTimeoutMs?: number | undefined;
  /** How long to try again while a lock is not given, in milliseconds; default one minute. */
  lockRetryMs?: number | undefined;
  /** statement_timeout in milliseconds for files that do not say; default 0, none. */
  statementTimeoutMs?: number | undefined;
  /** Ids of applied files that have changed, and are right as they are. */
  acceptDrift?: string[];
  /** What became of the statement that MIGRATION_INTERRUPTED named. */
  interrupted?: 'done' | 'redo' | undefined;
  /** Aborted: what runs is finished, and nothing more is begun. */
  signal?: AbortSignal;
  /** Called before each migration. */
  onStart?: (migration: Migration) => void;
  /** Called after each, with its duration in milliseconds. */
  onApplied?: (migration: Migration, durationMs: number) => void;
  /** Told who holds the lock that is waited for. */
  onWait?: (holder: string) => void;
  onBlocked?: (migration: Migration, blockers: Blocker[]) => void;
  onRetry?: (migration: Migration, waitMs: number) => void;
  /** Told what was found half done, and put right. */
  onRemark?: (text: string) => void;
}

/** A migration that this run applied. */
export interface AppliedNow {
  id: string;
  kind: MigrationKind;
  /** Milliseconds. */
  durationMs: number;
}

const DEFAULT_WAIT_MS = 300_000;

/**
 * Applies every pending migration in order, under a lock that lets one runner in at a time, and returns those it applied; running it
 * again returns none, after a single query. Each commits together with its ledger row; one outside a transaction is recorded step by
 * step, and gone on with if it was interrupted. When this returns, all of it is on disk.
 * @throws OperatorError, the first failure, after which nothing more is begun: a folder that does not fit (see assertHistoryFits), texts
 * that can't run (prepareAll), MIGRATION_LOCKED, MIGRATION_BLOCKED, MIGRATION_FAILED, MIGRATION_VERIFY, MIGRATION_INTERRUPTED, INTERRUPTED, DATABASE_LOST
 */
export async function migrate(
  session: MigrationSession,
  migrations: Migration[],
  options: MigrateOptions,
): Promise<AppliedNow[]> {
  try {
    return await applyPending(session, migrations, options);
  } catch (error) {
    throw connectionLost(error) ?? error;
  }
}

async function applyPending(
  session: MigrationSession,
  migrations: Migration[],
  options: MigrateOptions,
): Promise<AppliedNow[]> {
  const accept = options.acceptDrift ?? [];
  const before = await inspectDatabase(session);
  await assertHistoryFits(session, migrations, accepting(before.entries, migrations, accept));
  if (accept.length === 0 && !before.busy && pendingOf(migrations, before.entries).length === 0) return [];

  const lock = await takeRunnerLock(session, before.pid, {
    waitMs: options.waitMs ?? DEFAULT_WAIT_MS,
    signal: options.signal,
    ...(options.onWait ? { onWait: options.onWait } : {}),
  });
  try {
    // Whoever was waited for has changed what there is to do.
    const state = await inspectDatabase(session);
    await assertHistoryFits(session, migrations, accepting(state.entries, migrations, accept));
    const prepared = await prepareAll(pendingOf(migrations, state.entries));
    assertModesFit(prepared, state.entries);
    if (prepared.length === 0 && accept.length === 0) return [];
    if (state.ledger !== 'current') await ensureLedger(session);
    const context = contextOf(session, state, lock, options);
    if (accept.length > 0) await acceptDrift(context, migrations, state.entries, accept);
    if (state.sessionSetup) await session.script(state.sessionSetup);
    return await applyAll(context, prepared, lock, options);
  } finally {
    await lock.release();
  }
}

async function applyAll(
  context: UnitContext,
  prepared: Prepared[],
  lock: RunnerLock,
  options: MigrateOptions,
): Promise<AppliedNow[]> {
  const applied: AppliedNow[] = [];
  let notOnDisk: string | null = null;
  try {
    for (const [index, item] of prepared.entries()) {
      const { migration } = item;
      if (options.signal?.aborted)
        throw interrupted(`${prepared.length - index} migrations were still pending`);
      lock.assertHeld();
      options.onStart?.(migration);
      const started = performance.now();
      // What a commit that waits for the disk finds there includes all commits before it: only the last one need wait.
      const durably = index === prepared.length - 1 || item.units !== null;
      try {
        await (item.units ? applyUnits(context, item) : applyWhole(context, item, durably));
      } catch (error) {
        if (!(await isApplied(context, migration))) throw error;
        if (lock.control) throw notReset(migration, error);
        // On the one session of an embedded database there is no lock, and two runners can come to the same migration: one of them fails,
        // as a whole, because the other has applied it.
        continue;
      }
      notOnDisk = durably ? null : migration.id;
      const durationMs = Math.round(performance.now() - started);
      applied.push({ id: migration.id, kind: migration.kind, durationMs });
      options.onApplied?.(migration, durationMs);
    }
  } catch (error) {
    // The failure is what is reported; without a connection nothing can be waited for, and nothing was said to be done.
    if (notOnDisk) await flush(context.session, notOnDisk).catch(() => undefined);
    throw error;
  }
  if (notOnDisk) await flush(context.session, notOnDisk);
  return applied;
}

/** Waits until everything committed so far is on disk: by a commit that does, of a change that changes nothing. */
async function flush(session: MigrationSession, id: string): Promise<void> {
  await session.query(`UPDATE ${LEDGER_TABLE} SET state = state WHERE id = $1`, [id]);
}

async function isApplied({ session }: UnitContext, { id }: Migration): Promise<boolean> {
  if (!session.alive) return false;
  const rows = await session.query(`SELECT FROM ${LEDGER_TABLE} WHERE id = $1 AND state <> 'running'`, [id]);
  return rows.length > 0;
}

function notReset({ file }: Migration, error: unknown): OperatorError {
  return new OperatorError(
    'MIGRATION_SESSION',
    `${file}: it is applied, but what it left in its session can't be cleared away: ${messageOf(error)}`,
    { exitCode: EXIT.schema, hint: 'run the command again: it goes on with the next one', cause: error },
  );
}

function contextOf(
  session: MigrationSession,
  { pid, sessionSetup }: DatabaseState,
  { control }: RunnerLock,
  options: MigrateOptions,
): UnitContext {
  return {
    session,
    pid,
    control,
    sessionSetup,
    engineVersion: options.engineVersion,
    actor: options.actor ?? actor(),
    lockTimeoutMs: options.lockTimeoutMs ?? 5000,
    statementTimeoutMs: options.statementTimeoutMs ?? 0,
    lockRetryMs: options.lockRetryMs ?? 60_000,
    interrupted: options.interrupted,
    ...(options.onBlocked ? { onBlocked: options.onBlocked } : {}),
    ...(options.onRetry ? { onRetry: options.onRetry } : {}),
    ...(options.onRemark ? { onRemark: options.onRemark } : {}),
  };
}

/** Files whose ledger row is missing or says `running`, in order. */
export function pendingOf(migrations: Migration[], entries: LedgerEntry[]): Migration[] {
  const ids = migrations.map(({ id }) => id);
  const pending = new Set(compareWithLedger(ids, entries).pending);
  return migrations.filter(({ id }) => pending.has(id));
}

/** A migration that is half applied outside a transaction can't become one transaction. */
function assertModesFit(prepared: Prepared[], entries: LedgerEntry[]): void {
  const running = new Set(entries.filter(({ state }) => state === 'running').map(({ id }) => id));
  const changed = prepared.find(({ migration, units }) => running.has(migration.id) && units === null);
  if (changed) throw halfApplied(changed.migration, 'outside a transaction, by its header');
}

/** The ledger as it would be with these drifts accepted. */
function accepting(entries: LedgerEntry[], migrations: Migration[], ids: string[]): LedgerEntry[] {
  if (ids.length === 0) return entries;
  const files = new Map(migrations.map((migration) => [migration.id, migration]));
  for (const id of ids) {
    const file = files.get(id);
    const entry = entries.find((row) => row.id === id && row.state !== 'running');
    if (file && entry && ![file.checksum, file.checksumOfWhole].includes(entry.checksum)) continue;
    throw new OperatorError(
      'MIGRATION_NO_DRIFT',
      `${id}: ${file && entry ? 'the file is what was applied' : 'no such migration is applied'}; there is nothing to accept`,
      { exitCode: EXIT.usage, hint: 'kg-operator migrate status names the files that have changed' },
    );
  }
  return entries.map((entry) =>
    ids.includes(entry.id) ? { ...entry, checksum: files.get(entry.id)?.checksum ?? entry.checksum } : entry,
  );
}

async function acceptDrift(
  context: UnitContext,
  migrations: Migration[],
  entries: LedgerEntry[],
  ids: string[],
): Promise<void> {
  const { session } = context;
  try {
    await session.query('BEGIN');
    for (const id of ids) {
      const file = migrations.find((migration) => migration.id === id) as Migration;
      const content = await readContent(session, id);
      await addDecision(session, id, {
        at: new Date().toISOString(),
        by: context.actor,
        action: 'accept-drift',
        checksum: entries.find((entry) => entry.id === id)?.checksum ?? '',
        ...(content === null ? {} : { content }),
      });
      await session.query(`UPDATE ${LEDGER_TABLE} SET checksum = $2, content = $3 WHERE id = $1`, [
        id,
        file.checksum,
        file.sql,
      ]);
    }
    await session.query('COMMIT');
  } catch (error) {
    await rollBack(context);
    throw error;
  }
  await session.script(resetSql(context));
  for (const id of ids) context.onRemark?.(`${id}: its drift is accepted, and recorded`);
}
