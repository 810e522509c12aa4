/** How many backups to keep: the newest ones, and the newest of each of so many days, ISO weeks and months (UTC) that have any. */
export interface Retention {
  last: number;
  daily: number;
  weekly: number;
  monthly: number;
}

export interface Kept {
  id: string;
  createdAt: Date;
  state: 'unverified' | 'verified' | 'failed';
}

/**
 * Which backups a policy gives up, oldest first. None that has no newer verified one is ever among them, and a failed one fills no place.
 * Pure.
 */
export function expired(backups: Kept[], policy: Retention): string[] {
  const newestFirst = backups.toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
  const newestVerified = newestFirst.findIndex(({ state }) => state === 'verified');
  if (newestVerified < 0) return [];
  const sound = newestFirst.filter(({ state }) => state !== 'failed');
  const keep = new Set([
    ...sound.slice(0, policy.last),
    ...newestOfEach(sound, policy.daily, dayOf),
    ...newestOfEach(sound, policy.weekly, weekOf),
    ...newestOfEach(sound, policy.monthly, (date) => dayOf(date).slice(0, 7)),
  ]);
  return newestFirst
    .slice(newestVerified + 1)
    .filter((backup) => !keep.has(backup))
    .map(({ id }) => id)
    .reverse();
}

function newestOfEach(newestFirst: Kept[], count: number, periodOf: (date: Date) => string): Kept[] {
  const periods = new Map<string, Kept>();
  for (const backup of newestFirst) {
    const period = periodOf(backup.createdAt);
    if (!periods.has(period)) periods.set(period, backup);
  }
  return [...periods.values()].slice(0, count);
}

function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10);
}

/** The ISO 8601 week, by the day of its Thursday. */
function weekOf(date: Date): string {
  const thursday = new Date(date);
  thursday.setUTCDate(date.getUTCDate() + 4 - (date.getUTCDay() || 7));
  return dayOf(thursday);
}
