import type { MigrationSession } from '../database/session.ts';
import type { SchemaObservation } from '../model/observation.ts';
import type { Migration } from './files.ts';
import { compareWithLedger, driftOf, findHistoryProblems, type HistoryProblem } from './history.ts';
import { type AppliedMigration, type LedgerDecision, type LedgerState, readLedger } from './ledger.ts';

export interface MigrationStatus {
  id: string;
  /** `running`: half applied, outside a transaction; the next run goes on with it. */
  state: LedgerState | 'pending';
  kind: string;
  transaction: string | null;
  description: string | null;
  /** ISO 8601; null for a pending one. */
  appliedAt: string | null;
  durationMs: number | null;
  appliedBy: string | null;
  /** The database role. */
  role: string | null;
  engineVersion: string | null;
  /** Of `running`: how many of its parts are done. */
  partsDone: number | null;
  /** There is a file for it. */
  hasFile: boolean;
  /** The unified diff from what was applied to the file; empty where they agree. */
  drift: string[];
  decisions: Pick<LedgerDecision, 'at' | 'by' | 'action' | 'checksum' | 'outcome'>[];
}

export interface StatusReport extends SchemaObservation {
  migrations: MigrationStatus[];
  /** Ways in which folder and database contradict each other; `migrate` refuses while there is any. */
  problems: HistoryProblem[];
}

/** Everything about a folder and a database's ledger; changes nothing. */
export async function readStatus(session: MigrationSession, migrations: Migration[]): Promise<StatusReport> {
  const ledger = await readLedger(session);
  const problems = findHistoryProblems(migrations, ledger);
  const changed = problems.find(({ code }) => code === 'MIGRATION_CHANGED')?.ids ?? [];
  const drifts = new Map<string, string[]>();
  for (const id of changed) drifts.set(id, await driftOf(session, migrations, id));

  const files = new Map(migrations.map((migration) => [migration.id, migration]));
  const rows = ledger.map((row) =>
    describe(row.id, row, files.get(row.id) ?? null, drifts.get(row.id) ?? []),
  );
  const recorded = new Set(ledger.map(({ id }) => id));
  const pending = migrations
    .filter(({ id }) => !recorded.has(id))
    .map((migration) => describe(migration.id, null, migration, []));
  const ids = migrations.map(({ id }) => id);
  return { ...compareWithLedger(ids, ledger), migrations: [...rows, ...pending], problems };
}

function describe(
  id: string,
  row: AppliedMigration | null,
  file: Migration | null,
  drift: string[],
): MigrationStatus {
  return {
    id,
    state: row?.state ?? 'pending',
    kind: row?.kind ?? file?.kind ?? '',
    transaction: row ? row.transaction_mode : (file?.transaction ?? null),
    description: row?.description ?? file?.description ?? null,
    appliedAt: row?.applied_at.toISOString() ?? null,
    durationMs: row?.duration_ms ?? null,
    appliedBy: row?.applied_by ?? null,
    role: row?.applied_role ?? null,
    engineVersion: row?.engine_version ?? null,
    partsDone: row?.state === 'running' ? row.units_done : null,
    hasFile: file !== null,
    drift,
    decisions: (row?.decisions ?? []).map(({ at, by, action, checksum, outcome }) => ({
      ...{ at, by, action },
      ...(checksum === undefined ? {} : { checksum }),
      ...(outcome === undefined ? {} : { outcome }),
    })),
  };
}
