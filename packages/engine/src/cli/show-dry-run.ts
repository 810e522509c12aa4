import type { DryRunMigration } from '../migrations/dry-run.ts';
import { count } from '../model/plan.ts';

/** A dry run for a person, line by line. */
export function describeDryRun(reports: DryRunMigration[]): string[] {
  if (reports.length === 0) return ['The schema is current: nothing would be applied.'];
  const run = reports.filter(({ skipped }) => skipped === null);
  const skipped = reports.length - run.length;
  return [
    ...reports.flatMap(describeMigration),
    `${count(run.length, 'migration')} would apply${skipped > 0 ? `, ${skipped} could not be tried` : ''}; everything was rolled back.`,
  ];
}

function describeMigration({
  id,
  skipped,
  durationMs,
  statements,
  locks,
  tables,
}: DryRunMigration): string[] {
  if (skipped !== null) return [`${id}: not tried, ${skipped}`];
  return [
    `${id} (${durationMs} ms)`,
    ...statements
      .filter(({ rows }) => rows !== null && rows > 0)
      .map(
        ({ line, command, rows }) =>
          `  ${line === null ? '' : `line ${line}: `}${command} ${count(rows ?? 0, 'row')}`,
      ),
    ...tables.map(
      ({ table, inserted, updated, deleted }) =>
        `  rows of ${table}: ${[inserted && `${inserted} inserted`, updated && `${updated} updated`, deleted && `${deleted} deleted`].filter(Boolean).join(', ')}`,
    ),
    ...locks.map(({ relation, mode }) => `  lock on ${relation}: ${mode}`),
  ];
}
