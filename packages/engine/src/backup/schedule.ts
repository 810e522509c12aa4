import { createHash } from 'node:crypto';
import { Cron } from 'croner';
import { EXIT, OperatorError } from '../model/errors.ts';

/** When backups are made by themselves. */
export interface Schedule {
  /** Five fields of cron, in UTC. */
  cron: string;
  /** Each run is put off by up to this many seconds, so that many installations do not meet at one store. */
  jitterSeconds: number;
}

/** @throws OperatorError SCHEDULE_INVALID */
export function checkCron(cron: string): void {
  try {
    if (cron.trim().split(/\s+/).length !== 5) throw new Error('it must have five fields');
    new Cron(cron, { paused: true, timezone: 'UTC' });
  } catch (error) {
    throw new OperatorError('SCHEDULE_INVALID', `"${cron}" is no schedule: ${(error as Error).message}`, {
      exitCode: EXIT.usage,
      hint: 'five fields: minute hour day month weekday, such as "30 3 * * *" for 03:30 UTC every day',
    });
  }
}

/**
 * When the next backup is due, after the last attempt. In the past: it is due now, once, however many were missed. Null: never again.
 * The delay of a run is the same however often it is asked for.
 */
export function nextDue(
  { cron, jitterSeconds }: Schedule,
  lastAttempt: Date,
  installation: string,
): Date | null {
  const next = new Cron(cron, { paused: true, timezone: 'UTC' }).nextRun(lastAttempt);
  if (!next) return null;
  const digest = createHash('sha256').update(`${installation}/${next.toISOString()}`).digest();
  const delay = jitterSeconds > 0 ? digest.readUInt32BE(0) % (jitterSeconds + 1) : 0;
  return new Date(next.getTime() + delay * 1000);
}
