import { isAtRun, type Run } from '../history/runs.ts';
import type { RunContext } from './context.ts';
import { isLocked, planLock } from './lock.ts';

/** The id of the run that somebody is at; null: none. Of runs that are no upgrade or rollback only the last can be. */
export async function activeRun(context: RunContext, runs: readonly Run[]): Promise<string | null> {
  const open = runs.findLast(({ outcome }) => outcome === 'unfinished');
  if (!open) return null;
  if (open.change !== null && context.settings.mode === 'containers')
    return isAtRun(open, (await context.runner.current())?.run) ? open.id : null;
  return open === runs.at(-1) && (await isLocked(await planLock(context.settings))) ? open.id : null;
}
