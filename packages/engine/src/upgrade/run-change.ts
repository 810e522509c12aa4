import { randomUUID } from 'node:crypto';
import { readRun } from '../history/find.ts';
import { openRunLog } from '../history/log.ts';
import { nextStep, type Run, type RunStep } from '../history/runs.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import type { RunContext } from '../run/context.ts';
import { executeStep } from '../run/execute.ts';
import { takeLock } from '../run/lock.ts';
import { dockerAnswers, isDockersFault } from './docker-away.ts';
import { failpointsOf, withFailpoints } from './failpoints.ts';
import { hasImpact, isOver } from './impact.ts';
import { infrastructureIsUp } from './infrastructure.ts';
import { HandOver } from './operator.ts';
import { planUndo } from './undo.ts';

export interface ChangeOptions {
  /** What was thrown, for people. */
  explain(error: unknown): OperatorError;
  execute?: typeof executeStep;
  lock?: typeof takeLock;
}

// A runner that hands over gives the lock back before the next one takes it; anything else that holds it is short.
const LOCK_MS = 60_000;
const TAKEN_MS = 60_000;
const POLL_MS = 200;
// A daemon that is upgraded goes once; one that goes again and again is nothing to run an upgrade on.
const ATTEMPTS = 5;

/**
 * Goes on with an upgrade or rollback at its first step that is not done, in a runner. A failure is undone by a run of its own. Returns when
 * the run has ended, was handed over, or was interrupted, which leaves it to be gone on with.
 * @throws OperatorError LOCKED
 */
export async function runChange(context: RunContext, id: string, options: ChangeOptions): Promise<void> {
  const { stateDirectory } = context.settings;
  const points = failpointsOf();
  // A test stops an upgrade or rollback that it began; what undoes it by itself is let go on.
  const pointsIn = ({ change }: Run) => (change?.undoes ? [] : points);
  const { lock = takeLock, execute = executeStep } = options;
  let release = await lockPatiently(context, id, lock);
  try {
    for (let next: string | null = id; next !== null; ) {
      const run: Run = await readRun(context.journal, next);
      if (run.outcome !== 'unfinished') return;
      await context.journal.append({ event: 'run-continued', run: run.id, engine: context.engineVersion });
      next = await runToItsEnd(run);
    }
  } finally {
    await release();
  }

  /** Returns the run that is to undo it, or null. */
  async function runToItsEnd(run: Run): Promise<string | null> {
    const log = openRunLog(stateDirectory, run.id);
    try {
      const first = nextStep(run);
      const isResumed = run.steps.some(({ startedAt }) => startedAt !== null);
      for (let index = first; index < run.steps.length; index++) {
        if (context.signal.aborted) return null;
        try {
          if (index === first) await tidyUp(run, isResumed, (line) => log.write(index, line));
          await runStep(run, index, (line) => log.write(index, line));
        } catch (error) {
          if (context.signal.aborted) return null;
          if (error instanceof HandOver) {
            const refused = await handOver(run, error.image);
            if (!refused) return null;
            return await failed(run, refused, (line) => log.write(index, line));
          }
          return await failed(run, options.explain(error), (line) => log.write(index, line));
        }
      }
      await context.journal.append({ event: 'run-finished', run: run.id });
      return null;
    } finally {
      log.close();
    }
  }

  /** What a run that was cut off has left, this one or the one before it, and what going on needs. */
  async function tidyUp(run: Run, isResumed: boolean, report: (line: string) => void): Promise<void> {
    await context.runtime.removeScratch(context.settings.project);
    if (isResumed) await infrastructureIsUp(context, run, report);
  }

  async function runStep(run: Run, index: number, report: (line: string) => void): Promise<void> {
    const { journal, clock } = context;
    const now = run.steps[index] as RunStep;
    const { step } = now;
    await journal.append({ event: 'step-started', run: run.id, index, step: step.kind });
    now.startedAt = clock.date().toISOString();
    for (let attempt = 1; ; attempt++) {
      try {
        await orNothingLeft(withFailpoints(pointsIn(run), step.kind, () => execute(step, context, report)));
        break;
      } catch (error) {
        // It looks what is there before it acts, so it may be asked again.
        const again = attempt < ATTEMPTS && isDockersFault(error) && (await dockerAnswers(context, report));
        if (!again) throw error;
      }
    }
    await journal.append({ event: 'step-finished', run: run.id, index, step: step.kind });
    now.finishedAt = clock.date().toISOString();
  }

  /** Null: somebody else goes on. Otherwise why not; then this process has the lock again. */
  async function handOver(run: Run, image: string): Promise<OperatorError | null> {
    const { continued } = await readRun(context.journal, run.id);
    const comeBack = await context.runner.stepAside();
    await release();
    try {
      await context.runner.start(image, run.id, run.change?.environment ?? {});
      await taken(context, run.id, continued);
      release = async () => undefined;
      return null;
    } catch (error) {
      await comeBack();
      release = await lockPatiently(context, run.id, lock);
      return new OperatorError('OPERATOR_UNFIT', `the new operator does not start: ${messageOf(error)}`, {
        exitCode: EXIT.docker,
        hint: 'nothing was changed: the old operator and application go on; tell whoever publishes the release',
        cause: error,
      });
    }
  }

  async function failed(
    run: Run,
    error: OperatorError,
    report: (line: string) => void,
  ): Promise<string | null> {
    for (const detail of error.details) report(detail);
    const { journal } = context;
    const give = (message: string, of: { code: string; hint?: string | undefined }) =>
      journal.append({
        event: 'run-failed',
        run: run.id,
        error: message,
        code: of.code,
        exitCode: of.code === 'RECOVERY_NEEDED' ? EXIT.afterImpact : error.exitCode,
        hint: of.hint,
      });
    // One that a person began and that has changed nothing leaves everything as it was.
    const hasBegun = hasImpact(run) || run.change?.undoes !== null;
    if (run.change?.kind === 'rollback' && hasBegun) {
      const hint = `${error.hint ? `${error.hint}; then ` : ''}./operator.sh rollback`;
      await give(error.message, { code: 'RECOVERY_NEEDED', hint });
      return null;
    }
    if (!hasImpact(run) || isOver(run)) {
      await give(error.message, error);
      return null;
    }
    try {
      const id = randomUUID();
      const { plan, change } = await planUndo(context, run, report);
      const { goal, steps } = plan;
      const by = { actor: run.actor ?? undefined, engine: context.engineVersion };
      await journal.append({
        event: 'run-started',
        run: id,
        command: 'rollback',
        goal,
        ...by,
        steps,
        change,
      });
      await give(error.message, error);
      return id;
    } catch (thrown) {
      const reason = options.explain(thrown);
      report(reason.message);
      const message = `${error.message}; it can't be undone by itself: ${reason.message}`;
      await give(message, { code: 'RECOVERY_NEEDED', hint: reason.hint ?? './operator.sh rollback' });
      return null;
    }
  }
}

/**
 * A step whose answer can't come any more, because nothing is left in this process that could give it, has failed: Node would end without
 * a word. https://nodejs.org/api/process.html#event-beforeexit
 */
async function orNothingLeft(work: Promise<void>): Promise<void> {
  const { promise: never, reject } = Promise.withResolvers<never>();
  const onIdle = () => reject(new Error('the step has ended without an answer'));
  process.once('beforeExit', onIdle);
  try {
    await Promise.race([work, never]);
  } finally {
    process.off('beforeExit', onIdle);
  }
}

async function lockPatiently(
  context: RunContext,
  id: string,
  lock: typeof takeLock,
): Promise<() => Promise<void>> {
  const { clock, settings } = context;
  const run = await readRun(context.journal, id);
  const deadline = clock.now() + LOCK_MS;
  for (;;) {
    try {
      return await lock(settings.stateDirectory, run.goal);
    } catch (error) {
      if (!(error instanceof OperatorError && error.code === 'LOCKED') || clock.now() > deadline) throw error;
      await clock.sleep(POLL_MS);
    }
  }
}

/** Returns when another process has gone on with a run. @throws where it ended without */
async function taken(context: RunContext, id: string, before: number): Promise<void> {
  const { clock, runner } = context;
  const deadline = clock.now() + TAKEN_MS;
  for (;;) {
    const isRunning = (await runner.current())?.run === id; // asked first: what it wrote before it ended is seen
    if ((await readRun(context.journal, id)).continued > before) return;
    if (!isRunning) throw new Error('its container ended');
    if (clock.now() > deadline) throw new Error(`it has not begun after ${TAKEN_MS / 1000} s`);
    await clock.sleep(POLL_MS);
  }
}
