import type { Prefixes } from '../backup/restore-names.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import type { Observation } from '../model/observation.ts';
import type { Plan } from '../model/plan.ts';
import { replaceDatabase } from '../plan/restore.ts';
import { notUp, planStart } from '../plan/start.ts';
import { assertStarted } from './lifecycle.ts';

const APPLICATION = { infrastructure: false, application: true };

export interface FailedSwap {
  /** What a person confirms with. */
  name: string;
  prefixes: Prefixes;
  signal: AbortSignal;
  observe(): Promise<Observation>;
  /** Whether there is a database of this name. */
  isThere(database: string): Promise<boolean>;
  /** As it was before the first step. */
  before: Observation;
  /** Databases: what was to become the live one, and how the live one was to be called then. */
  incoming: string;
  outgoing: string;
  /** Runs a plan, shown to the person. */
  run(plan: Plan): Promise<void>;
  say(text: string): void;
  /** Called when the platform runs as it did before. */
  settled(): Promise<void>;
}

/**
 * A restore, or the way back from one, has failed. Before the swap the live data is as it was, and what was stopped starts again; after
 * it the data from before comes back. It always throws.
 * @throws OperatorError RESTORE_UNDONE; RECOVERY_NEEDED with the next command; otherwise `cause`
 */
export async function recoverFrom(failed: FailedSwap, cause: unknown): Promise<never> {
  let swapped: boolean;
  try {
    swapped = await failed.isThere(failed.outgoing);
  } catch (error) {
    throw recoveryNeeded(
      failed,
      cause,
      error,
      './operator.sh start; then, if the data is not what it should be, ./operator.sh restore --previous',
    );
  }
  if (swapped) return await putBack(failed, cause);
  return await startAgain(failed, cause);
}

async function startAgain(failed: FailedSwap, cause: unknown): Promise<never> {
  try {
    const observed = await failed.observe();
    const wasUp = notUp(failed.before, APPLICATION).length === 0;
    if (wasUp && notUp(observed, APPLICATION).length > 0) {
      failed.say('Nothing was exchanged: starting the application again');
      await failed.run({ ...planStart(observed, APPLICATION), goal: 'start what was stopped' });
      assertStarted(await failed.observe(), APPLICATION);
    }
  } catch (error) {
    throw recoveryNeeded(failed, cause, error, './operator.sh start');
  }
  await failed.settled();
  throw cause;
}

async function putBack(failed: FailedSwap, cause: unknown): Promise<never> {
  const { incoming, outgoing, name, prefixes, signal } = failed;
  const isWayBack = !incoming.startsWith(prefixes.incoming);
  const aside = isWayBack ? incoming : `${prefixes.failed}${outgoing.slice(prefixes.outgoing.length)}`;
  try {
    // Ctrl-C ends here too: the person decides whether to go on or back.
    signal.throwIfAborted();
    failed.say('The platform does not run on what was restored: putting back what was there');
    await failed.run({
      goal: `put back the data from before, database ${outgoing}`,
      steps: replaceDatabase(await failed.observe(), { incoming: outgoing, outgoing: aside }),
      warnings: [],
      destructive: true,
    });
    assertStarted(await failed.observe(), APPLICATION);
  } catch (error) {
    const stillThere = await failed.isThere(outgoing).catch(() => true); // unreachable: the command below says so when it is run
    throw recoveryNeeded(
      failed,
      cause,
      error,
      stillThere
        ? `./operator.sh restore --previous ${outgoing} --confirm ${name} goes back; ./operator.sh start goes on with what was restored`
        : './operator.sh start',
    );
  }
  await failed.settled();
  throw new OperatorError(
    'RESTORE_UNDONE',
    `the platform did not run on what was restored (${messageOf(cause)}); what was there before serves again`,
    {
      exitCode: EXIT.afterImpact,
      hint: `the restored data is database ${aside}; see ./operator.sh logs api`,
      cause,
    },
  );
}

function recoveryNeeded(
  { outgoing }: FailedSwap,
  cause: unknown,
  then: unknown,
  hint: string,
): OperatorError {
  return new OperatorError(
    'RECOVERY_NEEDED',
    `the restore failed (${messageOf(cause)}), and the platform does not serve`,
    {
      exitCode: EXIT.afterImpact,
      details: [
        ...(then === cause ? [] : [`and then: ${messageOf(then)}`]),
        `no data is lost: what was live is the live database, or ${outgoing}`,
      ],
      hint,
      cause,
    },
  );
}
