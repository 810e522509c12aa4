import { randomUUID } from 'node:crypto';
import type { ReleaseChange } from '../adapters/journal.ts';
import { commandActor } from '../config/actor.ts';
import { nextStep, type Run, runsOf, unfinishedChange } from '../history/runs.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { Plan } from '../model/plan.ts';
import type { RunContext } from '../run/context.ts';
import { takeLock } from '../run/lock.ts';

/** The upgrade or rollback that is under way or was cut off; null: none. */
export async function openChange(context: RunContext): Promise<Run | null> {
  return unfinishedChange(runsOf(await context.journal.read()));
}

/**
 * Writes the plan of an upgrade or rollback into the journal and starts a runner for it. `instead` is an unfinished run that it takes the
 * place of.
 * @returns the run's id
 * @throws OperatorError LOCKED
 */
export async function beginChange(
  context: RunContext,
  {
    command,
    plan,
    change,
    instead,
  }: { command: string; plan: Plan; change: ReleaseChange; instead?: Run | null },
): Promise<string> {
  const { journal, settings, engineVersion } = context;
  const id = randomUUID();
  const release = await takeLock(settings.stateDirectory, command);
  try {
    const open = await openChange(context);
    if (open && open.id !== instead?.id) throw justBegun(open);
    if (open) await journal.append({ event: 'run-given-up', run: open.id, for: id });
    const { goal, steps } = plan;
    const by = { actor: commandActor(), engine: engineVersion };
    await journal.append({ event: 'run-started', run: id, command, goal, ...by, steps, change });
  } finally {
    await release();
  }
  const { runner } = context;
  await runner.start(await runner.ownImage(), id, change.environment);
  return id;
}

/** Starts a runner that goes on with a run, of the engine that it was handed over to. @throws OperatorError LOCKED */
export async function continueChange({ runner }: RunContext, run: Run): Promise<void> {
  const image = runnerImage(run, await runner.ownImage());
  await runner.start(image, run.id, run.change?.environment ?? {});
}

/** The image of the last hand-over that was done; before the first one, the operator's own. Pure. */
export function runnerImage(run: Run, own: string): string {
  const handOver = run.steps.slice(0, nextStep(run)).findLast(({ step }) => step.kind === 'hand-over');
  return handOver?.step.kind === 'hand-over' ? handOver.step.image : own;
}

/** What whoever goes on must know: operator.sh passes it to each command, and nobody else does. */
export function environmentOf(env: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const names = ['COMPOSE_FILE', 'COMPOSE_ENV_FILES', 'COMPOSE_PROJECT_NAME', 'KG_ACTOR', 'KG_RELEASE_KEYS'];
  return Object.fromEntries(names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}

function justBegun({ goal, startedAt }: Run): OperatorError {
  return new OperatorError('LOCKED', `"${goal}" was begun ${startedAt}`, {
    exitCode: EXIT.locked,
    hint: './operator.sh upgrade --attach follows it',
  });
}
