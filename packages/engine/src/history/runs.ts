import type { JournalEntry, ReleaseChange } from '../adapters/journal.ts';
import { EXIT, type ExitCode } from '../model/errors.ts';
import { describeStep, type Step } from '../model/plan.ts';

/** What the journal tells of one run. Times are ISO 8601. */
export interface Run {
  id: string;
  command: string;
  goal: string;
  /** Who typed it, as `os:NAME`; null: not known, or the engine by itself. */
  actor: string | null;
  engine: string | null;
  startedAt: string;
  endedAt: string | null;
  /** `unfinished`: under way, or cut off; who asks Docker or the lock knows which. */
  outcome: 'finished' | 'failed' | 'given-up' | 'unfinished';
  steps: RunStep[];
  error: { message: string; code: string | null; exitCode: ExitCode; hint: string | null } | null;
  change: ReleaseChange | null;
  /** The run that undid this one, or was made in its place. */
  followedBy: string | null;
  /** How often another process went on with it. */
  continued: number;
}

export interface RunStep {
  /** Of a run that another engine planned it may be of a kind that this one does not know, or have its kind only. */
  step: Step;
  /** One line for a person. */
  title: string;
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
  // It failed, and what undoes it was begun, but the line that says so was not written any more.
  for (const run of runs.values())
    if (run.outcome === 'unfinished' && run.followedBy !== null) run.outcome = 'failed';
  return [...runs.values()];
}

type StepEntry = JournalEntry & { event: 'step-started' | 'step-finished' };

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
    steps: (entry.steps ?? []).map(planned),
    error: null,
    change: change ?? null,
    followedBy: null,
    continued: 0,
  };
}

const planned = (step: Step): RunStep => ({ step, title: titleOf(step), startedAt: null, finishedAt: null });

function titleOf(step: Step): string {
  try {
    return describeStep(step) ?? step.kind;
  } catch {
    return step.kind; // a step that lacks what this engine would name
  }
}

/** The plan's step that an entry is about. The first engines wrote neither plan nor index: there a step is known once it began. */
function stepOf(run: Run, { event, index, step: kind }: StepEntry): RunStep {
  const unplanned = event === 'step-started' ? run.steps.length : run.steps.length - 1;
  const step = run.steps[index ?? unplanned] ?? { ...planned({ kind } as Step), title: kind };
  if (!run.steps.includes(step)) run.steps.push(step);
  return step;
}

function apply(run: Run, entry: JournalEntry): void {
  switch (entry.event) {
    case 'run-continued':
      run.continued += 1;
      return;
    case 'step-started':
      Object.assign(stepOf(run, entry), { startedAt: entry.at, finishedAt: null });
      return;
    case 'step-finished':
      stepOf(run, entry).finishedAt = entry.at;
      return;
    case 'run-finished':
      Object.assign(run, { outcome: 'finished', endedAt: entry.at });
      return;
    case 'run-failed': {
      const { error: message, code = null, hint = null, exitCode = EXIT.afterImpact } = entry;
      Object.assign(run, { outcome: 'failed', endedAt: entry.at, error: { message, code, exitCode, hint } });
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

/** Whether a runner that was started for run `started` is at this one: it goes on with what undoes its own. Pure. */
export function isAtRun(run: Run, started: string | undefined): boolean {
  return started !== undefined && (started === run.id || started === run.change?.undoes);
}
