import type { Run } from '../history/runs.ts';
import type { StepKind } from '../model/plan.ts';

/** Steps that change what runs. Before the first of them a failure leaves everything as it was. */
export const IMPACT: ReadonlySet<StepKind> = new Set<StepKind>([
  'replace-operator',
  'compose-stop',
  'copy-database',
  'migrate',
  'pin-images',
  'roll-service',
  'compose-up',
  'wait-healthy',
  'health-gate',
  'record-release',
  'swap-database',
]);

/** Whether a run has begun to change what runs. */
export function hasImpact({ steps }: Run): boolean {
  return steps.some(({ step, startedAt }) => startedAt !== null && IMPACT.has(step.kind));
}

/** The version that the last finished `record-release` of a run recorded; null: none yet. */
export function lastRecorded({ steps }: Run): string | null {
  const recorded = steps.findLast(
    ({ step, finishedAt }) => step.kind === 'record-release' && finishedAt !== null,
  );
  return recorded?.step.kind === 'record-release' ? recorded.step.version : null;
}

/** Nothing that comes after it can undo an upgrade: hooks and clearing up. */
export function isOver(run: Run): boolean {
  return run.change !== null && lastRecorded(run) === run.change.path.at(-1)?.version;
}
