import { randomUUID } from 'node:crypto';
import { commandActor } from '../config/actor.ts';
import { openRunLog } from '../history/log.ts';
import { type ExitCode, messageOf, OperatorError } from '../model/errors.ts';
import type { Plan, Step } from '../model/plan.ts';
import type { RunContext } from './context.ts';
import { executeStep, type Report } from './execute.ts';
import { planLock, takeLock } from './lock.ts';
import { throwIfInterrupted } from './wait.ts';

/** Shows the steps of a plan while `runStep` runs each; the engine knows no renderer. */
export type Render = (plan: Plan, runStep: (step: Step, report: Report) => Promise<void>) => Promise<void>;

/**
 * Runs a plan's steps in order, under the installation's lock, each journalled before and after.
 * @throws OperatorError LOCKED, INTERRUPTED, or what the failing step threw
 */
export async function runPlan(
  plan: Plan,
  context: RunContext,
  command: string,
  render: Render,
): Promise<void> {
  if (plan.steps.length === 0) return;
  const { journal, settings, signal } = context;
  const run = randomUUID();
  const release = await takeLock(await planLock(settings), command);
  const log = openRunLog(settings.stateDirectory, run);
  try {
    const { goal, steps } = plan;
    const by = { actor: commandActor(), engine: context.engineVersion };
    await journal.append({ run, event: 'run-started', command, goal, ...by, steps });
    await render(plan, async (step, report) => {
      throwIfInterrupted(signal);
      const index = plan.steps.indexOf(step);
      await journal.append({ run, event: 'step-started', index, step: step.kind });
      const tell = onChange((line) => {
        log.write(index, line);
        report(line);
      });
      await executeStep(step, context, tell);
      await journal.append({ run, event: 'step-finished', index, step: step.kind });
    });
    await journal.append({ run, event: 'run-finished' });
  } catch (error) {
    // A full disk may refuse the line; what failed is what a person must hear.
    await journal
      .append({ run, event: 'run-failed', error: messageOf(error), ...knownOf(error) })
      .catch(() => undefined);
    throw error;
  } finally {
    log.close();
    await release();
  }
}

function knownOf(error: unknown): { code?: string; exitCode?: ExitCode; hint?: string | undefined } {
  return error instanceof OperatorError
    ? { code: error.code, exitCode: error.exitCode, hint: error.hint }
    : {};
}

/** Waits look again and again; a person is told when what they see changes. */
function onChange(report: Report): Report {
  let last = '';
  return (line) => {
    if (line !== last) report(line);
    last = line;
  };
}
