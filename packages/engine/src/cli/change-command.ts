import type { ReleaseChange } from '../adapters/journal.ts';
import { readRunLog } from '../history/log.ts';
import { isAtRun, type Run, runsOf } from '../history/runs.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { Plan } from '../model/plan.ts';
import { continueChange, openChange } from '../upgrade/begin.ts';
import { OperatorCommand } from './base-command.ts';
import { followChange } from './follow-change.ts';

export interface ChangeResult {
  plan: Plan;
  /** Id of the run, as `history` names it; null: a dry run, or nothing to do. */
  run: string | null;
  /** Version before and after. */
  from: string | null;
  to: string;
  /** Seconds between stopping the application and its being healthy again; null: it was never stopped. */
  downtimeSeconds: number | null;
}

/** EX_TEMPFAIL of sysexits.h; for operator.sh: ask the operator that takes the place of this one. */
const SHOWN_ON = 75;
const MOST_LAST_WORDS = 20;

/** What `upgrade` and `rollback` share: a runner does the work, and they watch it. */
export abstract class ChangeCommand extends OperatorCommand {
  protected override interruptRemark =
    '\nIt goes on without this terminal. ./operator.sh upgrade --attach shows it again.';

  /** @throws OperatorError IMAGES_ARE_BUILT where no release is installed, but what was built here */
  protected requireReleases(env: NodeJS.ProcessEnv = process.env): void {
    this.requireContainers();
    if (/docker-compose\.ghcr\.yml/.test(env.COMPOSE_FILE ?? '')) return;
    throw new OperatorError(
      'IMAGES_ARE_BUILT',
      'the images of this installation are built here (IMAGE_SOURCE=local)',
      {
        exitCode: EXIT.precondition,
        hint: 'git pull, then ./operator.sh up; releases are for IMAGE_SOURCE=ghcr in .operator.conf',
      },
    );
  }

  /** The change that is under way or was cut off. @throws OperatorError LOCKED where one runs and nobody asked to watch */
  protected async openChange(): Promise<{ run: Run; running: boolean } | null> {
    const run = await openChange(this.context);
    if (!run) return null;
    const running = isAtRun(run, (await this.context.runner.current())?.run);
    if (running && !this.interactive) throw isRunning(run);
    return { run, running };
  }

  /** The newest change that a person began, ended or not: what undid it by itself is part of it. @throws OperatorError NOTHING_TO_ATTACH */
  protected async lastChange(): Promise<Run> {
    const runs = runsOf(await this.context.journal.read());
    const last = runs.findLast(({ change }) => change !== null && change.undoes === null);
    if (last) return last;
    throw new OperatorError('NOTHING_TO_ATTACH', 'there was no upgrade or rollback yet', {
      exitCode: EXIT.usage,
      hint: './operator.sh upgrade begins one',
    });
  }

  protected async goOn(run: Run): Promise<void> {
    this.say(`Going on with "${run.goal}", begun ${run.startedAt}`);
    await continueChange(this.context, run);
  }

  /** Watches a run to its end, and tells what came of it. @throws OperatorError ROLLED_BACK, RECOVERY_NEEDED, or what it failed with */
  protected async watch(id: string): Promise<ChangeResult> {
    const { run, undoneBy } = await followChange(this.context, id, {
      render: await this.renderer(),
      say: (text) => this.say(text),
      untilReplaced: !this.jsonEnabled(),
    });
    const { change } = run;
    if (!change) throw new Error(`run ${id} is no upgrade`);
    const result = {
      plan: planOf(run),
      run: run.id,
      from: change.from.version,
      to: targetOf(change),
      downtimeSeconds: downtimeOf(run),
    };
    if (run.outcome === 'unfinished' || undoneBy?.outcome === 'unfinished') {
      process.exitCode = SHOWN_ON;
      return result;
    }
    if (run.outcome !== 'finished') throw failureOf(run, undoneBy, await this.#lastWords(run));
    this.answer(`${result.to} is installed and healthy${change.kind === 'rollback' ? ', as before' : ''}.`);
    if (result.downtimeSeconds !== null)
      this.say(`The application was stopped for ${result.downtimeSeconds.toFixed(1)} s.`);
    if (change.kind === 'upgrade')
      this.say(`${result.from} is kept: ./operator.sh rollback goes back to it.`);
    return result;
  }

  /** What the step that failed said at last: the place in a migration, who blocks it, what a container wrote. */
  async #lastWords(run: Run): Promise<string[]> {
    const index = failedStep(run);
    const lines = await readRunLog(this.context.settings.stateDirectory, run.id);
    return lines
      .filter((line) => line.index === index)
      .slice(-MOST_LAST_WORDS)
      .map(({ line }) => line);
  }
}

function failedStep({ steps }: Run): number {
  return steps.findLastIndex(({ startedAt, finishedAt }) => startedAt !== null && finishedAt === null);
}

export function targetOf({ path }: ReleaseChange): string {
  return path.at(-1)?.version ?? 'before';
}

function planOf({ goal, steps }: Run): Plan {
  return { goal, steps: steps.map(({ step }) => step), warnings: [], destructive: false };
}

/** From the beginning of the first stop to the end of the wait that followed it, each time it was stopped. */
export function downtimeOf({ steps }: Run): number | null {
  let total: number | null = null;
  let stopped: number | null = null;
  for (const { step, startedAt, finishedAt } of steps) {
    if (step.kind === 'compose-stop' && startedAt !== null) stopped ??= Date.parse(startedAt);
    if (step.kind === 'wait-healthy' && finishedAt !== null && stopped !== null) {
      total = (total ?? 0) + (Date.parse(finishedAt) - stopped) / 1000;
      stopped = null;
    }
  }
  return total;
}

function failureOf(run: Run, undoneBy: Run | null, details: string[]): OperatorError {
  const { message = 'it failed', code, exitCode = EXIT.afterImpact, hint } = run.error ?? {};
  const see = `./operator.sh history show ${run.id.slice(0, 8)} tells everything`;
  if (run.outcome === 'given-up')
    return new OperatorError('GIVEN_UP', `"${run.goal}" was given up`, {
      exitCode: EXIT.afterImpact,
      hint: see,
    });
  if (undoneBy === null)
    return new OperatorError(code ?? 'CHANGE_FAILED', message, { exitCode, details, hint: hint ?? see });
  const back = undoneBy.change ? targetOf(undoneBy.change) : 'the release before';
  if (undoneBy.outcome === 'finished')
    return new OperatorError(
      'ROLLED_BACK',
      `"${run.goal}" failed, and ${back} is back and healthy: ${message}`,
      {
        exitCode: EXIT.afterImpact,
        details,
        hint: see,
      },
    );
  return new OperatorError(
    'RECOVERY_NEEDED',
    `"${run.goal}" failed (${message}), and so did going back to ${back}: ${undoneBy.error?.message ?? 'it was interrupted'}`,
    { exitCode: EXIT.afterImpact, details, hint: undoneBy.error?.hint ?? './operator.sh rollback' },
  );
}

function isRunning({ goal, startedAt, id }: Run): OperatorError {
  return new OperatorError('LOCKED', `"${goal}" is running since ${startedAt} (run ${id.slice(0, 8)})`, {
    exitCode: EXIT.locked,
    hint: './operator.sh upgrade --attach shows it',
  });
}
