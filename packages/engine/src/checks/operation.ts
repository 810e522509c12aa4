import { nextStep } from '../history/runs.ts';
import type { ChangeObservation } from '../model/observation.ts';

/** The member `operation` of `status --json`: an upgrade or rollback about which something is still open. */
export interface OperationStatus {
  /** Id of the run. */
  run: string;
  kind: 'upgrade' | 'rollback';
  goal: string;
  /** `running`: a runner is at it. `interrupted`: it has not ended, and nobody is. `recovery-needed`: it failed, and could not be undone. */
  state: 'running' | 'interrupted' | 'recovery-needed';
  /** From 1: the first that is not done. */
  step: number;
  of: number;
  /** What that step does. */
  title: string | null;
  /** ISO 8601: when the step began, or the run. */
  since: string;
  /** What failed; null unless recovery is needed. */
  problem: string | null;
  /** The commands that follow it, continue it, go back, or recover. */
  next: string[];
}

export const FOLLOW = './operator.sh upgrade --attach';

/** Pure. */
export function operationStatus(change: ChangeObservation | null | undefined): OperationStatus | null {
  if (!change?.run.change) return null;
  const { run, running } = change;
  const { kind } = change.run.change;
  const index = Math.min(nextStep(run), run.steps.length - 1);
  const step = run.steps[index];
  const state = running ? 'running' : run.outcome === 'unfinished' ? 'interrupted' : 'recovery-needed';
  const next = {
    running: [FOLLOW],
    interrupted:
      kind === 'upgrade' ? ['./operator.sh upgrade', './operator.sh rollback'] : ['./operator.sh rollback'],
    'recovery-needed': [run.error?.hint ?? './operator.sh rollback'],
  }[state];
  return {
    run: run.id,
    kind,
    goal: run.goal,
    state,
    step: index + 1,
    of: run.steps.length,
    title: step?.title ?? null,
    since: step?.startedAt ?? run.startedAt,
    problem: state === 'recovery-needed' ? (run.error?.message ?? null) : null,
    next,
  };
}
