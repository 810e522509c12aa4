import type { MigrationSession } from '../database/session.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { excerpt, isAnswer, migrationFailed, type Sent } from './failure.ts';
import type { Migration, TransactionMode } from './files.ts';
import { insertRow, LEDGER_TABLE, type LedgerDecision, literal } from './ledger.ts';
import type { Prepared } from './preflight.ts';
import { dropInvalidIndexes, findIndex, findOutcome, isRepeatable } from './recovery.ts';
import { parseStatements } from './statements.ts';
import { type ApplyContext, beginSql, resetSql, rollBack, withLockRetries } from './transaction.ts';
import { toUnits, type Unit } from './units.ts';
import { runVerify } from './verification.ts';

export interface UnitContext extends ApplyContext {
  /** What a person says of the unit whose outcome can't be found out. */
  interrupted?: 'done' | 'redo' | undefined;
  /** Told of what was found and put right. */
  onRemark?: (text: string) => void;
}

interface Progress {
  units_done: number;
  unit_started: number | null;
  content: string | null;
  transaction_mode: TransactionMode;
}

/**
 * Applies a migration outside a transaction, unit by unit, or goes on with one that was interrupted. Each unit that can is one
 * transaction with its own record; the others are recorded before and after.
 * @throws OperatorError MIGRATION_FAILED, MIGRATION_BLOCKED, MIGRATION_VERIFY; MIGRATION_INTERRUPTED where only a person can tell what
 * became of a statement; MIGRATION_CHANGED where what is applied already is not what the file says
 */
export async function applyUnits(context: UnitContext, prepared: Prepared): Promise<void> {
  const { session } = context;
  const { migration } = prepared;
  const units = prepared.units ?? [];
  const started = performance.now();
  const progress = (await readProgress(session, migration.id)) ?? (await begin(context, migration));
  await assertUnchanged(migration, units, progress);

  let done = progress.units_done;
  if (progress.unit_started !== null && (await settle(context, migration, units, progress))) done += 1;
  await setUp(context, migration, units.slice(0, done));
  for (; done < units.length; done += 1) {
    const unit = units[done] as Unit;
    const run = unit.kind === 'solo' ? runSolo : runInTransaction;
    let isFirst = true;
    await withLockRetries(context, migration, unit.kind === 'solo' ? 0 : context.lockTimeoutMs, async () => {
      if (!isFirst) await setUp(context, migration, units.slice(0, done));
      isFirst = false;
      await run(context, migration, unit, done);
    }).catch(async (error) => {
      if (error instanceof OperatorError) throw error;
      throw await migrationFailed(migration, error, sentUnit(context, migration, unit), goOn(done, units));
    });
  }
  try {
    await finish(context, prepared, Math.round(performance.now() - started));
  } catch (error) {
    await rollBack(context);
    throw error;
  }
}

async function readProgress(session: MigrationSession, id: string): Promise<Progress | undefined> {
  const [row] = await session.query<Progress>(
    `SELECT units_done, unit_started, content, transaction_mode FROM ${LEDGER_TABLE} WHERE id = $1`,
    [id],
  );
  return row;
}

async function begin(context: UnitContext, migration: Migration): Promise<Progress> {
  const { session } = context;
  await session.query('BEGIN');
  await insertRow(session, migration, { ...context, durationMs: 0, state: 'running' });
  await setProgress(session, migration.id, 0, null);
  await session.query('COMMIT');
  return {
    units_done: 0,
    unit_started: null,
    content: migration.sql,
    transaction_mode: migration.transaction,
  };
}

function setProgress(session: MigrationSession, id: string, done: number, started: number | null) {
  return session.query(`UPDATE ${LEDGER_TABLE} SET units_done = $2, unit_started = $3 WHERE id = $1`, [
    id,
    done,
    started,
  ]);
}

/** What was applied must still be what the file begins with; the rest may have been mended. */
async function assertUnchanged(migration: Migration, units: Unit[], progress: Progress): Promise<void> {
  const { content, units_done, unit_started, transaction_mode } = progress;
  if (content === null || content === migration.sql) return;
  const before = toUnits(
    { ...migration, sql: content, transaction: transaction_mode },
    await parseStatements(content),
  );
  const fixed = units_done + (unit_started === null ? 0 : 1);
  const changed = before.slice(0, fixed).find((unit, index) => unit.text !== units[index]?.text);
  if (transaction_mode === migration.transaction && !changed) return;
  throw halfApplied(migration, changed ? `${excerpt(changed.text)}` : `transaction: ${transaction_mode}`);
}

/** A file that was edited where it is applied already. */
export function halfApplied(migration: Migration, was: string): OperatorError {
  return new OperatorError(
    'MIGRATION_CHANGED',
    `${migration.file}: it is half applied, and what is applied of it has changed since`,
    {
      exitCode: EXIT.schema,
      details: [`it was: ${was}`],
      hint: 'restore what is applied already (column content of kg_operator.schema_migrations keeps it); what follows may be edited',
    },
  );
}

/** Decides about the unit that was begun and whose end is not known; true: it is done. */
async function settle(
  context: UnitContext,
  migration: Migration,
  units: Unit[],
  progress: Progress,
): Promise<boolean> {
  const { session, interrupted } = context;
  const index = progress.unit_started as number;
  const unit = units[index] as Unit;
  const found = await findOutcome(session, unit);
  const outcome = found === 'unknown' ? interrupted : found;
  if (outcome === undefined) throw needsDecision(migration, unit);
  if (found === 'unknown') {
    const decision: LedgerDecision = {
      at: new Date().toISOString(),
      by: context.actor,
      action: 'interrupted',
      outcome: interrupted as 'done' | 'redo',
      unit: index,
    };
    await addDecision(session, migration.id, decision);
  }
  const isDone = outcome === 'done';
  context.onRemark?.(
    `${migration.id}: was interrupted in "${excerpt(unit.text)}", which ${isDone ? 'is done' : 'is run again'}`,
  );
  await setProgress(session, migration.id, isDone ? index + 1 : index, null);
  return isDone;
}

/** Keeps a person's decision with the row. */
export async function addDecision(
  session: Pick<MigrationSession, 'query'>,
  id: string,
  decision: LedgerDecision,
): Promise<void> {
  await session.query(
    `UPDATE ${LEDGER_TABLE} SET decisions = coalesce(decisions, '[]') || jsonb_build_array($2::jsonb) WHERE id = $1`,
    [id, JSON.stringify(decision)],
  );
}

function needsDecision(migration: Migration, unit: Unit): OperatorError {
  return new OperatorError(
    'MIGRATION_INTERRUPTED',
    `${migration.file}:${unit.line}:${unit.column}: this statement was interrupted, and only a person can tell whether it is done`,
    {
      exitCode: EXIT.schema,
      details: [`statement: ${excerpt(unit.text)}`],
      hint: 'look into the database; then "kg-operator migrate --interrupted done" if it is done, "--interrupted redo" to run it again',
    },
  );
}

/** A new or reset session becomes what the units before made of it. */
async function setUp(context: UnitContext, migration: Migration, before: Unit[]): Promise<void> {
  const { session, statementTimeoutMs } = context;
  // Statements that can't be in a transaction mostly wait without queueing anyone behind them: no lock_timeout unless the file says so.
  await session.script(
    `${resetSql(context)}SET lock_timeout=${migration.lockTimeoutMs ?? 0};SET statement_timeout=${migration.timeoutMs ?? statementTimeoutMs};`,
  );
  for (const { text, isSessionSetup } of before) if (isSessionSetup) await session.script(text);
}

async function runInTransaction(context: UnitContext, migration: Migration, unit: Unit, index: number) {
  const { prefix, text } = sentUnit(context, migration, unit);
  // A role that the block took on may not write the ledger; both end with the transaction.
  const record = `SET LOCAL SESSION AUTHORIZATION DEFAULT;SET LOCAL ROLE NONE;UPDATE ${LEDGER_TABLE} SET units_done = ${index + 1} WHERE id = ${literal(migration.id)};`;
  await context.session.script(`${prefix}${text}\n;${record}COMMIT;`);
}

/** The file's own timeouts, if it sets any, are not overruled. */
function beginUnit(
  context: UnitContext,
  migration: Migration,
  { begin }: Unit,
): { sql: string; count: number } {
  if (/\b(?:lock|statement)_timeout\b/i.test(migration.sql)) return { sql: `BEGIN ${begin};`, count: 1 };
  return { sql: beginSql(context, migration, true, begin), count: 4 };
}

function sentUnit(context: UnitContext, migration: Migration, unit: Unit): Sent {
  const { text, offset } = unit;
  if (unit.kind === 'solo') return { prefix: '', prefixStatements: 0, text, offset };
  const { sql, count } = beginUnit(context, migration, unit);
  return { prefix: `${sql}\n`, prefixStatements: count, text, offset };
}

async function runSolo(context: UnitContext, migration: Migration, unit: Unit, index: number) {
  const { session, onRemark } = context;
  for (const name of await dropInvalidIndexes(session, unit))
    onRemark?.(`${migration.id}: dropped the invalid index ${name}; it is built again`);
  await setProgress(session, migration.id, index, index);
  try {
    await session.script(unit.text);
  } catch (error) {
    // An answer of the server: it failed, and left nothing behind that running it again would not put right. Otherwise the record stays.
    if (isAnswer(error) && session.alive && isRepeatable(unit))
      await setProgress(session, migration.id, index, null);
    throw error;
  }
  const built = await findIndex(session, unit);
  if (built && !built.valid) throw new Error(`the index ${built.name} is invalid after it was built`);
  await setProgress(session, migration.id, index + 1, null);
}

function goOn(done: number, units: Unit[]): string {
  return `${done} of ${units.length} parts of this file are applied and recorded; correct the rest of it and run the command again, it goes on from there`;
}

async function finish(context: UnitContext, prepared: Prepared, durationMs: number): Promise<void> {
  const { session } = context;
  const { id, checksum, kind, sql, description } = prepared.migration;
  await session.script(`${resetSql(context)}BEGIN;`);
  await runVerify(session, prepared);
  await session.query(
    `UPDATE ${LEDGER_TABLE} SET state = 'applied', unit_started = NULL, duration_ms = duration_ms + $2, applied_at = now(),
            checksum = $3, kind = $4, content = $5, description = $6 WHERE id = $1`,
    [id, durationMs, checksum, kind, sql, description],
  );
  await session.query('COMMIT');
}
