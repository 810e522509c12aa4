import { messageOf, OperatorError } from '../model/errors.ts';
import type { Plan } from '../model/plan.ts';
import { planBackup, planCopies } from '../plan/backup.ts';
import type { RunContext } from '../run/context.ts';
import { hooksOf } from '../upgrade/hooks.ts';
import { type ListedBackup, listBackups } from './catalog.ts';
import { copiesGoTo, localDestination, newBackupId } from './installation.ts';
import { nextDue, type Schedule } from './schedule.ts';
import { type LastScheduled, lastScheduled, noteLast, writeDue } from './scheduler.ts';
import { readBackupSettings } from './settings.ts';

/** While another command runs, and after a first failure, it is tried again after so long; after each more, twice as long as before. */
const AGAIN_MS = 15 * 60_000;
const LONGEST_MS = 8 * 3_600_000;

/**
 * Makes the backup that is due, however many were missed, and notes how it went and when the next one is due. Returns its id; null: there is
 * no schedule any more. A backup that only lacks copies is not made again but copied.
 * @throws OperatorError LOCKED, which is no failure but late; otherwise what made it fail, after that was noted
 */
export async function makeScheduled(
  context: RunContext,
  run: (plan: Plan) => Promise<void>,
): Promise<string | null> {
  const at = context.clock.date();
  const last = await lastScheduled(context);
  // First of all, so that a crash in the middle does not start it over at once and for ever.
  await writeDue(context, new Date(at.getTime() + AGAIN_MS));
  let id: string | null = null;
  let schedule: Schedule | null = null;
  try {
    const settings = await readBackupSettings(context.configDatabase());
    schedule = settings.schedule;
    if (!schedule) {
      await writeDue(context, null);
      return null;
    }
    const copyTo = await copiesGoTo(context);
    const prune = settings.retention !== null;
    const begun = await uncopied(context, last);
    const isDue =
      begun && (nextDue(schedule, new Date(begun.createdAt), context.settings.project) ?? at) <= at;
    id = begun && !isDue ? begun.id : newBackupId(context);
    const hooks = await hooksOf(context.settings);
    await run(
      begun?.id === id
        ? planCopies({ id, copyTo, prune })
        : planBackup({ id, verify: true, copyTo, prune, hooks }),
    );
    await noteLast(context, { at: at.toISOString(), ok: true, result: id, failures: 0, uncopied: null });
    await writeDue(context, nextDue(schedule, at, context.settings.project));
    return id;
  } catch (error) {
    if (!(error instanceof OperatorError && error.code === 'LOCKED'))
      await noteFailure(context, { at, last, schedule, id, error }).catch(() => undefined); // what failed first is what to say, and it is due again
    throw error;
  }
}

/** The backup that the last attempt made and could not copy everywhere, if it is still there. */
async function uncopied(context: RunContext, last: LastScheduled | null): Promise<ListedBackup | undefined> {
  if (!last?.uncopied) return undefined;
  const backups = await listBackups([localDestination(context)]);
  return backups.find(({ id, state }) => id === last.uncopied && state === 'verified');
}

async function noteFailure(
  context: RunContext,
  failed: {
    at: Date;
    last: LastScheduled | null;
    schedule: Schedule | null;
    id: string | null;
    error: unknown;
  },
): Promise<void> {
  const { at, last, schedule, id, error } = failed;
  const failures = (last?.failures ?? 0) + 1;
  const wait = Math.min(AGAIN_MS * 2 ** (failures - 1), LONGEST_MS);
  const isCopied = !(error instanceof OperatorError && error.code === 'BACKUP_NOT_COPIED');
  await noteLast(context, {
    at: at.toISOString(),
    ok: false,
    result: messageOf(error),
    failures,
    uncopied: isCopied ? null : id,
  });
  const again = new Date(at.getTime() + wait);
  const next = schedule && nextDue(schedule, at, context.settings.project);
  await writeDue(context, next && next < again ? next : again);
}
