import type { Journal } from '../adapters/journal.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type Run, runsOf } from './runs.ts';

const NEAREST = 5;

/** A run as the journal has it now. @throws OperatorError RUN_UNKNOWN */
export async function readRun(journal: Journal, id: string): Promise<Run> {
  return findRun(runsOf(await journal.read()), id);
}

/**
 * The run that is meant by an id, or the beginning of one. Pure.
 * @throws OperatorError RUN_UNKNOWN, RUN_AMBIGUOUS
 */
export function findRun(runs: readonly Run[], id: string): Run {
  const found = runs.filter((run) => run.id.startsWith(id.toLowerCase()));
  const [run] = found;
  if (run && found.length === 1) return run;
  const options = { exitCode: EXIT.usage, hint: './operator.sh history lists the runs' };
  if (!run) throw new OperatorError('RUN_UNKNOWN', `there is no run ${id}`, options);
  throw new OperatorError('RUN_AMBIGUOUS', `${found.length} runs begin with ${id}`, {
    ...options,
    details: found.slice(-NEAREST).map(({ id, startedAt, goal }) => `${id}  ${startedAt}  ${goal}`),
  });
}
