import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunContext } from '../run/context.ts';
import { syncPath } from './destination.ts';
import { nextDue } from './schedule.ts';
import { type BackupSettings, readBackupSettings } from './settings.ts';

/*
 * The operator container looks every half minute at `.operator/backup-due`: seconds since 1970, when the next backup is due. It only then
 * starts the engine, which makes the backup and writes the next time. `.operator/backup-last.json` holds how the last one went.
 */
const DUE = 'backup-due';
const LAST = 'backup-last.json';

export interface LastScheduled {
  at: string;
  ok: boolean;
  /** The backup's id, or why there is none, or why it is not everywhere. */
  result: string;
  /** How many attempts in a row have failed. */
  failures: number;
  /** A verified backup that has not reached every destination. */
  uncopied: string | null;
}

type Site = Pick<RunContext, 'settings'>;

/** When the next backup is due, as the container's loop sees it; in the past: now. Null: there is no schedule. */
export async function readDue({ settings }: Site): Promise<Date | null> {
  const text = await readIfThere(join(settings.stateDirectory, DUE));
  const seconds = Number(text ?? Number.NaN);
  return Number.isFinite(seconds) ? new Date(seconds * 1000) : null;
}

/** Writes down when the next one is due, for the container's loop; null: never. */
export async function writeDue(context: Site, due: Date | null): Promise<void> {
  if (due) await place(context, DUE, `${Math.ceil(due.getTime() / 1000)}\n`);
  else await rm(join(context.settings.stateDirectory, DUE), { force: true });
}

/** When the schedule wants the next one, after the last attempt or, before the first, after now. */
export async function nextScheduled(
  context: RunContext,
  schedule: BackupSettings['schedule'],
): Promise<Date | null> {
  if (!schedule) return null;
  const last = await lastScheduled(context);
  const after = last ? new Date(last.at) : context.clock.date();
  return nextDue(schedule, after, context.settings.project);
}

/**
 * Brings what the loop sees in line with the stored schedule, which a restore, an import or an undo may have changed. What was due earlier
 * stays due: it may have been missed.
 */
export async function syncDue(context: RunContext): Promise<void> {
  if (context.settings.mode !== 'containers') return;
  const { schedule } = await readBackupSettings(context.configDatabase());
  const next = await nextScheduled(context, schedule);
  const noted = await readDue(context);
  await writeDue(context, next && noted && noted < next ? noted : next);
}

export async function noteLast(context: Site, last: LastScheduled): Promise<void> {
  await place(context, LAST, `${JSON.stringify(last)}\n`);
}

/** Null: none was made yet. */
export async function lastScheduled({ settings }: Site): Promise<LastScheduled | null> {
  const text = await readIfThere(join(settings.stateDirectory, LAST));
  return text === null ? null : (JSON.parse(text) as LastScheduled);
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

async function place({ settings }: Site, name: string, text: string): Promise<void> {
  await mkdir(settings.stateDirectory, { recursive: true, mode: 0o700 });
  const path = join(settings.stateDirectory, name);
  await writeFile(`${path}.tmp`, text, { mode: 0o600 });
  // A machine that goes down now must find the old file or the new one: an empty one would keep `status` from reading it.
  await syncPath(`${path}.tmp`);
  await rename(`${path}.tmp`, path);
  await syncPath(settings.stateDirectory);
}
