import type { JournalEntry, ReleaseChange } from '../adapters/journal.ts';
import type { Step } from '../model/plan.ts';

/** What the journal tells of one run. Times are ISO 8601. */
export interface Run {
  id: string;
  command: string;
  goal: string;
  actor: string | null;
  engine: string | null;
  startedAt: string;
  endedAt: string | null;
  /** `unfinished`: under way, or cut off; who asks Docker or the lock knows which. */
  outcome: 'finished' | 'failed' | 'given-up' | 'unfinished';
  steps: RunStep[];
  error: { message: string; code: string | null; hint: string | null } | null;
  change: ReleaseChange | null;
  /** The run that undid this one, or was made in its place. */
  followedBy: string | null;
  /** How often another process went on with it. */
  continued: number;
}

export interface RunStep {
  step: Step;
  /** Of the last time it was begun; null: not yet. */
  startedAt: string | null;
  finishedAt: string | null;
}

/** Every run of a journal, oldest first. Pure. */
export function runsOf(entries: readonly JournalEntry[]): Run[] {
  const runs = new Map<string, Run>();
  for (const entry of entries) {
    if (entry.event === 'run-started') {
      runs.set(entry.run, begun(entry));
      const undone = entry.change?.undoes ? runs.get(entry.change.undoes) : undefined;
      if (undone) undone.followedBy = entry.run;
    }
    const run = runs.get(entry.run);
    if (run) apply(run, entry);
  }
  for (const run of runs.values())
    // It failed, and what undoes it was begun, but the line that says so was not written any more.
    if (run.outcome === 'unfinished' && run.followedBy !== null) run.outcome = 'failed';
  return [...runs.values()];
}

function begun(entry: JournalEntry & { event: 'run-started' }): Run {
  const { run, at, command, goal, actor, engine, change } = entry;
  return {
    id: run,
    command,
    goal,
    actor: actor ?? null,
    engine: engine ?? null,
    startedAt: at,
    endedAt: null,
    outcome: 'unfinished',
    steps: (entry.steps ?? []).map((step) => ({ step, startedAt: null, finishedAt: null })),
    error: null,
    change: change ?? null,
    followedBy: null,
    continued: 0,
  };
}

function apply(run: Run, entry: JournalEntry): void {
  switch (entry.event) {
    case 'run-continued':
      run.continued += 1;
      return;
    case 'step-started': {
      const step = run.steps[entry.index];
      if (step) Object.assign(step, { startedAt: entry.at, finishedAt: null });
      return;
    }
    case 'step-finished': {
      const step = run.steps[entry.index];
      if (step) step.finishedAt = entry.at;
      return;
    }
    case 'run-finished':
      Object.assign(run, { outcome: 'finished', endedAt: entry.at });
      return;
    case 'run-failed': {
      const { error: message, code = null, hint = null } = entry;
      Object.assign(run, { outcome: 'failed', endedAt: entry.at, error: { message, code, hint } });
      return;
    }
    case 'run-given-up':
      Object.assign(run, { outcome: 'given-up', endedAt: entry.at, followedBy: entry.for });
  }
}

/** The upgrade or rollback that was begun last and has no end yet; null: none. Others are not gone on with: they start anew. */
export function unfinishedChange(runs: readonly Run[]): Run | null {
  const last = runs.findLast(({ change }) => change !== null);
  return last?.outcome === 'unfinished' ? last : null;
}

/** The index of the first step that is not done. */
export function nextStep({ steps }: Run): number {
  const next = steps.findIndex(({ finishedAt }) => finishedAt === null);
  return next === -1 ? steps.length : next;
}
