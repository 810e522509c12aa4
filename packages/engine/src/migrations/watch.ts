import type { MigrationSession } from '../database/session.ts';

/** Who holds what a migration waits for. */
export interface Blocker {
  pid: number;
  application: string;
  role: string | null;
  client: string;
  /** pg_stat_activity's, such as `idle in transaction`. */
  state: string | null;
  /** Its last or running query, at most 200 characters. */
  query: string;
  /** Seconds since its transaction began; null where it has none. */
  age: number | null;
}

const BLOCKERS = `
  SELECT pid, coalesce(application_name, '') AS application, usename::text AS role, coalesce(host(client_addr), 'local') AS client,
         state, left(regexp_replace(query, '\\s+', ' ', 'g'), 200) AS query,
         extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age
    FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids($1))`;

const EVERY_MS = 1000;

/**
 * Runs something on a connection, and looks from another who blocks it meanwhile: afterwards PostgreSQL no longer knows.
 * Returns what was run, and who blocked it last.
 */
export async function watchBlockers<T>(
  watcher: MigrationSession | null,
  pid: number,
  lockTimeoutMs: number,
  run: () => Promise<T>,
  onBlocked: (blockers: Blocker[]) => void = () => {},
): Promise<{ result: PromiseSettledResult<T>; blockers: Blocker[] }> {
  let blockers: Blocker[] = [];
  let isDone = false;
  let look: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  const every = lockTimeoutMs > 0 ? Math.min(EVERY_MS, Math.max(20, lockTimeoutMs / 4)) : EVERY_MS;
  const schedule = (session: MigrationSession) => {
    timer = setTimeout(() => {
      look = session.query<Blocker>(BLOCKERS, [pid]).then(
        (found) => {
          if (found.length > 0) {
            blockers = found;
            if (!isDone) onBlocked(found);
          }
          if (!isDone) schedule(session);
        },
        () => undefined, // a lost watcher is seen by the lock, which has the same connection; here it only means seeing less
      );
    }, every);
  };
  if (watcher) schedule(watcher);
  const [result] = await Promise.allSettled([run()]);
  isDone = true;
  clearTimeout(timer);
  await look;
  return { result: result as PromiseSettledResult<T>, blockers };
}

/** One blocker as a sentence. */
export function describeBlocker({ pid, application, role, client, state, query, age }: Blocker): string {
  const who = [application, role && `role ${role}`, `from ${client}`].filter(Boolean).join(', ');
  const since = age === null ? '' : ` for ${formatSeconds(age)}`;
  return `PostgreSQL process ${pid} (${who}), ${state ?? 'state unknown'}, in its transaction${since}: ${query || 'query not visible to this role'}`;
}

function formatSeconds(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}
