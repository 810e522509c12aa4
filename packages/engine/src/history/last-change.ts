import type { Journal } from '../adapters/journal.ts';
import { type Run, runsOf } from './runs.ts';

/**
 * The upgrade or rollback that was begun last, if something about it is still open: it has not ended, or it left the platform in need of
 * recovery and nothing has shown since that it works. Null: neither.
 */
export async function openChange(journal: Journal): Promise<Run | null> {
  // Years of backups need not be parsed to know that.
  const begun = (await journal.read({ since: CHANGE, holding: CHANGE })).findLast(
    (entry) => entry.event === 'run-started' && entry.change !== undefined,
  );
  if (!begun) return null;
  const run = runsOf(await journal.read({ since: CHANGE, holding: begun.run })).find(
    ({ id }) => id === begun.run,
  );
  if (!run) return null;
  if (run.outcome === 'unfinished') return run;
  const needsRecovery = run.outcome === 'failed' && run.error?.code === 'RECOVERY_NEEDED';
  return needsRecovery && !(await isMended(journal, run)) ? run : null;
}

/** The member of an upgrade's or rollback's first entry. */
const CHANGE = '"change":';

async function isMended(journal: Journal, { id }: Run): Promise<boolean> {
  const runs = runsOf(await journal.read({ since: CHANGE, holding: '"run-' }));
  return runs.slice(runs.findIndex((run) => run.id === id) + 1).some(provesHealth);
}

/** `start` and `restore` end by asking the API and the web app. */
function provesHealth({ outcome, steps }: Run): boolean {
  return outcome === 'finished' && steps.some(({ step }) => step.kind === 'probe');
}
