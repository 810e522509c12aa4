import { setTimeout as sleep } from 'node:timers/promises';
import { readRun } from '../history/find.ts';
import { followRun, type RunEvent } from '../history/follow.ts';
import { isAtRun, nextStep, type Run, type RunStep } from '../history/runs.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { Plan } from '../model/plan.ts';
import type { RunContext } from '../run/context.ts';
import type { Render } from '../run/run-plan.ts';

// Between a runner that hands over and the next one there is none for a moment.
const HAND_OVER_MS = 5000;

/**
 * Shows an upgrade or rollback that a runner is at, from the first step that is not done, and what undoes it if it fails. Nothing depends
 * on being watched.
 * @param options.untilReplaced ends before the step in which the container that shows it is replaced; the one after it shows the rest
 * @returns the run, and the one that undid it; a run without an end is to be shown on
 * @throws OperatorError CHANGE_INTERRUPTED where the runner is gone and the run has no end
 */
export async function followChange(
  context: RunContext,
  id: string,
  options: WatchOptions,
): Promise<{ run: Run; undoneBy: Run | null }> {
  const found = await readRun(context.journal, id);
  const run = found.outcome === 'unfinished' ? await watch(context, found, options) : found;
  if (run.followedBy === null || run.outcome !== 'failed') return { run, undoneBy: null };
  // Who attaches later was told, or is told at the end.
  if (found !== run) options.say(`${run.error?.message ?? 'It failed'}\nGoing back:`);
  const undoing = await readRun(context.journal, run.followedBy);
  return {
    run,
    undoneBy: undoing.outcome === 'unfinished' ? await watch(context, undoing, options) : undoing,
  };
}

export interface WatchOptions {
  render: Render;
  say(text: string): void;
  untilReplaced: boolean;
}

async function watch(
  context: RunContext,
  run: Run,
  { render, say, untilReplaced }: WatchOptions,
): Promise<Run> {
  const stop = new AbortController();
  const ends = run.steps.map(() => Promise.withResolvers<void>());
  const reports: ((line: string) => void)[] = [];
  // What fails is told by whoever renders; a step that nobody waits for yet must not end the process.
  for (const { promise } of ends) promise.catch(() => undefined);
  const reading = (async () => {
    try {
      for await (const event of followRun(context.settings.stateDirectory, run.id, {
        signal: AbortSignal.any([context.signal, stop.signal]),
        alive: () => isAlive(context, run),
      }))
        apply(event);
      const ended = await readRun(context.journal, run.id);
      if (ended.outcome === 'unfinished') throw interruptedRun(ended);
      for (const { reject } of ends) reject(new StepFailed());
    } catch (error) {
      for (const { reject } of ends) reject(error);
    }
  })();

  function apply(event: RunEvent): void {
    if (event.event === 'line') reports[event.index]?.(event.line);
    if (event.event === 'step-finished') ends[event.index]?.resolve();
    if (event.event === 'run-failed') for (const { reject } of ends) reject(new StepFailed());
  }

  const done = nextStep(run);
  if (done > 0) say(`${run.goal}: ${done} of ${run.steps.length} steps are done`);
  const isReplacing = ({ step }: RunStep, index: number) => index > done && step.kind === 'replace-operator';
  const replacing = untilReplaced ? run.steps.findIndex(isReplacing) : -1;
  const steps = run.steps.slice(done, replacing === -1 ? undefined : replacing).map(({ step }) => step);
  const plan: Plan = { goal: run.goal, steps, warnings: [], destructive: false };
  try {
    await render(plan, (step, report) => {
      const index = done + steps.indexOf(step);
      reports[index] = report;
      return (ends[index] as PromiseWithResolvers<void>).promise;
    });
    if (replacing !== -1) stop.abort();
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
  } finally {
    await reading;
  }
  return await readRun(context.journal, run.id);
}

/** The journal says why. */
class StepFailed extends Error {}

async function isAlive({ runner }: RunContext, run: Run): Promise<boolean> {
  const deadline = performance.now() + HAND_OVER_MS;
  for (;;) {
    if (isAtRun(run, (await runner.current())?.run)) return true;
    if (performance.now() > deadline) return false;
    await sleep(250);
  }
}

function interruptedRun({ goal, change }: Run): OperatorError {
  const command = change?.kind ?? 'upgrade';
  return new OperatorError('CHANGE_INTERRUPTED', `"${goal}" was interrupted`, {
    exitCode: EXIT.afterImpact,
    hint:
      command === 'upgrade'
        ? './operator.sh upgrade goes on with it, ./operator.sh rollback goes back'
        : './operator.sh rollback goes on with it',
  });
}
