import type { Run, RunStep } from './runs.ts';

/** What came of a run. `rolled-back`: it failed, and another run brought back what was before. `given-up`: for another run, by a person. */
export type RunResult = 'finished' | 'failed' | 'rolled-back' | 'given-up' | 'interrupted' | 'running';

/** One run of `history`; schema/json/history.schema.json describes it. Times are ISO 8601. */
export interface RunSummary
  extends Pick<
    Run,
    'id' | 'command' | 'goal' | 'actor' | 'engine' | 'startedAt' | 'endedAt' | 'followedBy' | 'continued'
  > {
  /** From its beginning to its end; null: it has none. */
  seconds: number | null;
  result: RunResult;
  /** Upgrades and rollbacks: the versions; null before the first release, and for other runs. */
  from: string | null;
  to: string | null;
  error: { code: string | null; message: string; hint: string | null } | null;
  /** The run that this one undid by itself. */
  undoes: string | null;
}

export interface StepReport {
  index: number;
  kind: string;
  /** One line for a person. */
  title: string;
  startedAt: string | null;
  seconds: number | null;
  result: 'done' | 'failed' | 'interrupted' | 'running' | 'not-reached';
}

/** An image that an upgrade or rollback changed, or left as it was. */
export interface ImageChange {
  service: string;
  from: string | null;
  to: string | null;
  changed: boolean;
}

/** `active` is the run that somebody is at. Pure. */
export function summaryOf(run: Run, runs: readonly Run[], active: string | null): RunSummary {
  const { id, command, goal, actor, engine, startedAt, endedAt, change, error, followedBy, continued } = run;
  return {
    ...{ id, command, goal, actor, engine, startedAt, endedAt },
    seconds: endedAt === null ? null : secondsBetween(startedAt, endedAt),
    result: resultOf(run, runs, active),
    from: change?.from.version ?? null,
    to: change?.path.at(-1)?.version ?? null,
    error: error && { code: error.code, message: error.message, hint: error.hint },
    undoes: change?.undoes ?? null,
    ...{ followedBy, continued },
  };
}

function resultOf({ id, outcome, followedBy }: Run, runs: readonly Run[], active: string | null): RunResult {
  if (outcome === 'unfinished') return id === active ? 'running' : 'interrupted';
  const follower = runs.find((run) => run.id === followedBy);
  return outcome === 'failed' && follower?.outcome === 'finished' ? 'rolled-back' : outcome;
}

/** Pure. */
export function stepReports({ steps }: Run, result: RunResult): StepReport[] {
  return steps.map((step, index) => ({
    index,
    kind: step.step.kind,
    title: step.title,
    startedAt: step.startedAt,
    seconds:
      step.startedAt === null || step.finishedAt === null
        ? null
        : secondsBetween(step.startedAt, step.finishedAt),
    result: stepResult(step, result),
  }));
}

function stepResult({ startedAt, finishedAt }: RunStep, result: RunResult): StepReport['result'] {
  if (finishedAt !== null) return 'done';
  if (startedAt === null) return 'not-reached';
  if (result === 'running') return 'running';
  return result === 'failed' || result === 'rolled-back' ? 'failed' : 'interrupted';
}

/** What each service ran before and after, by name; none for other runs. Pure. */
export function imageChanges({ change }: Run): ImageChange[] {
  const [before, after] = [change?.from.images ?? {}, change?.path.at(-1)?.images ?? {}];
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].sort().map((service) => {
    // What a release does not name stays as it is.
    const [from, to] = [before[service] ?? null, after[service] ?? before[service] ?? null];
    return { service, from, to, changed: from !== to };
  });
}

/** How much of an id tells all runs apart; 8 characters, unless two begin alike. */
export function shortId(id: string, runs: readonly { id: string }[]): string {
  let length = 8;
  while (length < id.length && runs.some((run) => run.id !== id && run.id.startsWith(id.slice(0, length))))
    length += 1;
  return id.slice(0, length);
}

/** Made by the container on its own, and as it should be: a year of them would hide everything else. */
export function isRoutine({ command }: Run, result: RunResult): boolean {
  return command.endsWith('backup scheduled') && result === 'finished';
}

/** To the millisecond. A clock that went back gives 0. */
function secondsBetween(from: string, to: string): number {
  return Math.max(0, Date.parse(to) - Date.parse(from)) / 1000;
}
