import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunContext } from '../run/context.ts';
import { nextDue } from './schedule.ts';
import { readBackupSettings } from './settings.ts';

/*
 * The operator container looks every half minute at `.operator/backup-due`: seconds since 1970, when the next backup is due. It only then
 * starts the engine, which makes the backup and writes the next time. `.operator/backup-last` holds how the last one went.
 */
const DUE = 'backup-due';
const LAST = 'backup-last.json';

export interface LastScheduled {
  at: string;
  ok: boolean;
  /** The backup's id, or why there is none. */
  result: string;
}

/** When the next scheduled backup is due; null: there is no schedule. */
export async function nextScheduled(context: RunContext): Promise<Date | null> {
  const { schedule } = await readBackupSettings(context.configDatabase());
  if (!schedule) return null;
  const last = await lastScheduled(context);
  return nextDue(schedule, last ? new Date(last.at) : context.clock.date(), context.settings.project);
}

/** Writes down when the next one is due, for the container's loop. */
export async function noteNextDue(context: RunContext, next?: Date | null): Promise<void> {
  const due = next === undefined ? await nextScheduled(context) : next;
  const path = join(context.settings.stateDirectory, DUE);
  if (!due) await rm(path, { force: true });
  else await place(context, DUE, `${Math.ceil(due.getTime() / 1000)}\n`);
}

export async function noteLast(context: RunContext, last: LastScheduled): Promise<void> {
  await place(context, LAST, `${JSON.stringify(last)}\n`);
}

/** Null: none was made yet. */
export async function lastScheduled({
  settings,
}: Pick<RunContext, 'settings'>): Promise<LastScheduled | null> {
  try {
    return JSON.parse(await readFile(join(settings.stateDirectory, LAST), 'utf8')) as LastScheduled;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

async function place({ settings }: RunContext, name: string, text: string): Promise<void> {
  await mkdir(settings.stateDirectory, { recursive: true, mode: 0o700 });
  const path = join(settings.stateDirectory, name);
  await writeFile(`${path}.tmp`, text, { mode: 0o600 });
  await rename(`${path}.tmp`, path);
}
