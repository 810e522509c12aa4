import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MigrationSession } from '../database/session.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { databaseError, isAnswer, migrationFailed, type Sent } from './failure.ts';
import type { Migration } from './files.ts';
import { insertRow, insertRowSql, LEDGER_TABLE, type RecordOptions } from './ledger.ts';
import type { Prepared } from './preflight.ts';
import { runVerify } from './verification.ts';
import { type Blocker, describeBlocker, watchBlockers } from './watch.ts';

/** What applying one migration needs besides it. */
export interface ApplyContext extends RecordOptions {
  session: MigrationSession;
  /** PostgreSQL process id of the session. */
  pid: number;
  /** Sees who blocks the session; null where there is one session for all. */
  control: MigrationSession | null;
  /** Statements that a reset session needs. */
  sessionSetup: string;
  /** Milliseconds, for migrations that do not say; 0: none. */
  lockTimeoutMs: number;
  statementTimeoutMs: number;
  /** How long to try again while a lock is not given, in milliseconds. */
  lockRetryMs: number;
  onBlocked?: (migration: Migration, blockers: Blocker[]) => void;
  onRetry?: (migration: Migration, waitMs: number) => void;
}

export const UNDONE = 'nothing of this file was applied; the migrations before it stay applied';

/**
 * Applies a migration as one transaction together with its ledger row. `durably` false: its commit is not waited for to reach the disk,
 * so that a crash of PostgreSQL may lose it, and those after it, each as a whole.
 * @throws OperatorError MIGRATION_FAILED, MIGRATION_BLOCKED, MIGRATION_TRANSACTION, MIGRATION_VERIFY; the transaction is rolled back
 */
export async function applyWhole(context: ApplyContext, prepared: Prepared, durably: boolean): Promise<void> {
  const { migration } = prepared;
  const atOnce = prepared.contained && prepared.verify.length === 0;
  await withLockRetries(context, migration, context.lockTimeoutMs, () =>
    atOnce ? sendAtOnce(context, migration, durably) : sendStepwise(context, prepared, durably),
  ).catch(async (error) => {
    if (error instanceof OperatorError) throw error;
    const sent = atOnce ? sentAtOnce(context, migration, durably) : sentAlone(migration);
    throw await migrationFailed(migration, error, sent, UNDONE);
  });
}

/** What every migration's transaction begins with. */
export function beginSql(context: ApplyContext, migration: Migration, durably: boolean, begin = ''): string {
  const lock = migration.lockTimeoutMs ?? context.lockTimeoutMs;
  const statement = migration.timeoutMs ?? context.statementTimeoutMs;
  return `BEGIN ${begin};SET LOCAL lock_timeout=${lock};SET LOCAL statement_timeout=${statement};SET LOCAL synchronous_commit${
    durably ? '=DEFAULT' : '=off'
  };`;
}

const BEGIN_STATEMENTS = 4;

/**
 * Undoes what a migration did to its session: DISCARD ALL in parts, because that can't stand in a message with others, and without
 * advisory locks, of which one is the runner's.
 */
export function resetSql({ sessionSetup }: Pick<ApplyContext, 'sessionSetup'>): string {
  return `CLOSE ALL;RESET SESSION AUTHORIZATION;RESET ALL;DEALLOCATE ALL;UNLISTEN *;DISCARD TEMP;DISCARD SEQUENCES;${sessionSetup}`;
}

/** Makes the role that connected the current one again, whatever a file set. */
export const RESET_ROLE = 'RESET ROLE;RESET SESSION AUTHORIZATION;';

/**
 * One message: of a migration of a millisecond the way to the server and back would be the larger part. The ledger row is written first,
 * so that of two runners, however they came about, one fails before it does anything. Nothing after the text has a quote in it that one
 * left open in the text could end at.
 */
async function sendAtOnce(context: ApplyContext, migration: Migration, durably: boolean): Promise<void> {
  const { prefix, text } = sentAtOnce(context, migration, durably);
  const tag = `$k${randomBytes(6).toString('hex')}$`;
  const end =
    `\n;${RESET_ROLE}UPDATE ${LEDGER_TABLE} SET duration_ms = ` +
    `(extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.transaction_timestamp()) * 1000)::pg_catalog.int4 ` +
    `WHERE id = ${tag}${migration.id}${tag};COMMIT;${resetSql(context)}`;
  await context.session.script(prefix + text + end);
}

function sentAtOnce(context: ApplyContext, migration: Migration, durably: boolean): Sent {
  const prefix = `${beginSql(context, migration, durably)}${insertRowSql(migration, context)}\n`;
  return { prefix, prefixStatements: BEGIN_STATEMENTS + 1, text: migration.sql, offset: 0 };
}

function sentAlone(migration: Migration): Sent {
  return { prefix: '', prefixStatements: 0, text: migration.sql, offset: 0 };
}

/** Several messages, with a look in between: for texts that only the server understands, and for those with a check. */
async function sendStepwise(context: ApplyContext, prepared: Prepared, durably: boolean): Promise<void> {
  const { session } = context;
  const { migration } = prepared;
  const started = performance.now();
  const before = (
    await session.script(`${beginSql(context, migration, durably)}SELECT txid_current()::text AS id;`)
  ).at(-1)?.rows[0]?.id;
  await session.script(migration.sql);
  const after = (
    await session.script(`SELECT pg_catalog.txid_current_if_assigned()::pg_catalog.text AS id;`)
  ).at(-1)?.rows[0]?.id;
  if (after !== before) throw escaped(migration);
  await runVerify(session, prepared);
  await session.query(RESET_ROLE);
  const durationMs = Math.round(performance.now() - started);
  await insertRow(session, migration, { ...context, durationMs, state: 'applied' });
  await session.script(`COMMIT;${resetSql(context)}`);
}

function escaped(migration: Migration): OperatorError {
  return new OperatorError(
    'MIGRATION_TRANSACTION',
    `${migration.file}: the file ends its own transaction; the runner owns it`,
    {
      exitCode: EXIT.schema,
      hint: 'what stood before its COMMIT is in the database and not recorded; remove BEGIN, COMMIT and ROLLBACK from the file and look what of it is there',
    },
  );
}

/** lock_not_available, deadlock_detected: rolled back, and worth another try. */
const BLOCKED = new Set(['55P03', '40P01']);
const BACKOFF_MS = { first: 300, most: 10_000 };

/**
 * Runs `attempt`, and again while a lock is not given, with growing, uneven pauses in which the application's queries go ahead.
 * @throws what `attempt` threw, or OperatorError MIGRATION_BLOCKED naming who holds the lock
 */
export async function withLockRetries(
  context: ApplyContext,
  migration: Migration,
  lockTimeoutMs: number,
  attempt: () => Promise<void>,
): Promise<void> {
  const { control, pid, onBlocked, onRetry } = context;
  const timeout = migration.lockTimeoutMs ?? lockTimeoutMs;
  const deadline = performance.now() + context.lockRetryMs;
  let pause = BACKOFF_MS.first;
  let seen: Blocker[] = [];
  for (;;) {
    const { result, blockers } = await watchBlockers(control, pid, timeout, attempt, (found) =>
      onBlocked?.(migration, found),
    );
    if (result.status === 'fulfilled') return;
    const isClean = await rollBack(context);
    if (!isClean) throw result.reason;
    if (!BLOCKED.has(databaseError(result.reason).code ?? '')) throw result.reason;
    if (blockers.length > 0) seen = blockers;
    const wait = pause * (0.5 + Math.random());
    if (performance.now() + wait > deadline) throw blocked(migration, result.reason, seen);
    onRetry?.(migration, wait);
    await sleep(wait);
    pause = Math.min(pause * 2, BACKOFF_MS.most);
  }
}

/**
 * Ends a failed transaction and resets the session. False where the session can't be used again: it is lost, and the transaction with it,
 * or what a file left in it can't be cleared away. The failure that brought us here is the one to report.
 */
export async function rollBack(context: Pick<ApplyContext, 'session' | 'sessionSetup'>): Promise<boolean> {
  try {
    await context.session.script('ROLLBACK');
    await context.session.script(resetSql(context));
    return true;
  } catch (error) {
    if (isAnswer(error) || !context.session.alive) return false;
    throw error;
  }
}

function blocked(migration: Migration, error: unknown, blockers: Blocker[]): OperatorError {
  const isDeadlock = databaseError(error).code === '40P01';
  return new OperatorError(
    'MIGRATION_BLOCKED',
    blockers.length > 0
      ? `${migration.file}: blocked by ${blockers.map(({ pid }) => `PostgreSQL process ${pid}`).join(', ')}`
      : `${migration.file}: ${isDeadlock ? 'deadlocked with another transaction' : 'a lock was not given in time'}, again and again`,
    {
      exitCode: EXIT.locked,
      details: [
        ...blockers.map(describeBlocker),
        ...(databaseError(error).detail ? [`detail: ${databaseError(error).detail}`] : []),
      ],
      hint: `wait for it or end it (SELECT pg_terminate_backend(${blockers[0]?.pid ?? 'pid'})), and run the command again; ${UNDONE}`,
      cause: error,
    },
  );
}
