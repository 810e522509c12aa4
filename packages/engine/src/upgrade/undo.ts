import type { ReleaseChange } from '../adapters/journal.ts';
import type { Run } from '../history/runs.ts';
import type { Plan } from '../model/plan.ts';
import type { RunContext } from '../run/context.ts';
import { lastRecorded } from './impact.ts';
import { planBack } from './way-back.ts';

/**
 * The way back from an upgrade that failed: to the release that was in place before, or to the last one on the way that was recorded.
 * @throws OperatorError SCHEMA_NOT_ACCEPTED where neither the images fit the schema nor the data from before is there; DATABASE_UNREACHABLE
 */
export async function planUndo(
  context: RunContext,
  run: Run,
  report: (line: string) => void,
): Promise<{ plan: Plan; change: ReleaseChange }> {
  const { change } = run;
  if (!change) throw new Error('not an upgrade');
  const recorded = lastRecorded(run);
  const to = change.path.find(({ version }) => version !== null && version === recorded) ?? change.from;
  const copy = run.steps.findLast(
    ({ step, finishedAt }) => step.kind === 'copy-database' && finishedAt,
  )?.step;
  const kept = copy?.kind === 'copy-database' ? { incoming: copy.database, backup: null } : null;
  const back = await planBack(
    context,
    { to, newest: change.path.at(-1) ?? to, data: kept, undoes: true },
    report,
  );
  return {
    plan: back.plan,
    change: { ...back.change, undoes: run.id, environment: change.environment },
  };
}
