import type { Journal } from '../adapters/journal.ts';
import { type Run, runsOf } from './runs.ts';

/**
 * The upgrade or rollback that was begun last, if something about it is still open: it has not ended, or it left the platform in need of
 * recovery and nothing has shown since that it works. Null: neither.
 */
export async function openChange(journal: Journal): Promise<Run | null> {
  // Years of backups need not be parsed to know that.
  const begun = await journal.read((line) => line.includes('"change":'));
  const id = begun.at(-1)?.run;
  if (id === undefined) return null;
  const runs = runsOf(
    await journal.read(
      (line) => line.includes(id) || line.includes('"run-started"') || line.includes('"run-finished"'),
    ),
  );
  const change = runs.find((run) => run.id === id);
  if (!change || change.change === null) return null;
  if (change.outcome === 'unfinished') return change;
  const needsRecovery = change.outcome === 'failed' && change.error?.code === 'RECOVERY_NEEDED';
  return needsRecovery && !runs.slice(runs.indexOf(change) + 1).some(provesHealth) ? change : null;
}

/** `start` and `restore` end by asking the API and the web app. */
function provesHealth({ outcome, steps }: Run): boolean {
  return outcome === 'finished' && steps.some(({ step }) => step.kind === 'probe');
}
