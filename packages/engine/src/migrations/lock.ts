import { setTimeout as sleep } from 'node:timers/promises';
import type { MigrationSession } from '../database/session.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { LOCK_KEY } from './ledger.ts';

export interface RunnerLock {
  /** The connection that holds the lock, and may look at what blocks a migration; null where there is one session for all. */
  control: MigrationSession | null;
  /** @throws OperatorError MIGRATION_LOCK_LOST once its connection is gone */
  assertHeld(): void;
  release(): Promise<void>;
}

export interface LockOptions {
  /** How long to wait for another runner, in milliseconds. */
  waitMs: number;
  /** Told once, and again when the holder changes: who is waited for. */
  onWait?: (holder: string) => void;
  signal?: AbortSignal | undefined;
}

/** Held by the connection that migrations run on: what a killed runner left running ends before the next one begins. */
const WORK_KEY = LOCK_KEY + 1;
const POLL_MS = { least: 80, most: 300 };
/** Attempts between two looks at who holds the lock. */
const DESCRIBE_EVERY = 5;

/**
 * Waits until no other runner is at work. Polled, never blocking: a session blocked in pg_advisory_lock deadlocks against CREATE INDEX
 * CONCURRENTLY of the one that holds it. Held on a connection of its own, which no migration can reset or unlock.
 *
 * The embedded database has one session for all its clients, and its data directory one process: there nothing is locked.
 * @throws OperatorError MIGRATION_LOCKED (exit 5) when the wait is over, INTERRUPTED
 */
export async function takeRunnerLock(
  session: MigrationSession,
  pid: number,
  options: LockOptions,
): Promise<RunnerLock> {
  const control = await session.another();
  try {
    const [own] = await control.query<{ pid: number }>(
      // A server that ends idle sessions would end the lock. The settings are not known to every version.
      `SELECT pg_backend_pid() AS pid, count(set_config(name, '0', false)) FROM pg_settings
        WHERE name IN ('idle_session_timeout', 'statement_timeout', 'lock_timeout')`,
    );
    if (own?.pid === pid) {
      await control.close();
      return { control: null, assertHeld: () => {}, release: async () => {} };
    }
    const deadline = performance.now() + options.waitMs;
    await poll(control, control, LOCK_KEY, deadline, options);
    await poll(session, control, WORK_KEY, deadline, options);
  } catch (error) {
    await control.close();
    throw error;
  }
  return {
    control,
    assertHeld() {
      if (control.alive) return;
      throw new OperatorError(
        'MIGRATION_LOCK_LOST',
        'the connection that keeps other runners out was lost; no further migration was begun',
        { exitCode: EXIT.unhealthy, hint: 'run the command again: it goes on where this one stopped' },
      );
    },
    async release() {
      // A session that is lost, or in a failed transaction, gives the lock up when it is closed.
      await session.query('SELECT pg_advisory_unlock($1)', [WORK_KEY]).catch(() => undefined);
      await control.close();
    },
  };
}

async function poll(
  session: MigrationSession,
  control: MigrationSession,
  key: number,
  deadline: number,
  { onWait, signal }: LockOptions,
): Promise<void> {
  let [told, holder] = ['', ''];
  for (let attempt = 0; ; attempt += 1) {
    const [row] = await session.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1) AS locked', [
      key,
    ]);
    if (row?.locked) return;
    if (attempt % DESCRIBE_EVERY === 0) holder = await describeHolder(control, key);
    if (signal?.aborted) throw interrupted(`waiting for ${holder}`);
    if (performance.now() > deadline) throw locked(await describeHolder(control, key));
    if (holder !== told) onWait?.(holder);
    told = holder;
    // Jitter: of many that wait, not all should ask at once.
    await sleep(POLL_MS.least + Math.random() * (POLL_MS.most - POLL_MS.least));
  }
}

async function describeHolder(control: MigrationSession, key: number): Promise<string> {
  const holders = await control.query<{ pid: number; client: string; application: string; since: string }>(
    `SELECT l.pid, coalesce(host(a.client_addr), 'local') AS client, coalesce(a.application_name, '') AS application,
            to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"') AS since
       FROM pg_locks l JOIN pg_stat_activity a USING (pid)
      WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 0 AND l.objid = $1
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    [key],
  );
  const what = key === WORK_KEY ? 'what a runner that ended has left running: ' : '';
  return holders.length === 0
    ? 'a runner that has just ended'
    : `${what}${holders.map(({ pid, client, application, since }) => `PostgreSQL process ${pid} from ${client} (${application}), connected since ${since}`).join(', ')}`;
}

function locked(holder: string): OperatorError {
  return new OperatorError('MIGRATION_LOCKED', `another migration is running: ${holder}`, {
    exitCode: EXIT.locked,
    hint: 'wait for it to end and run the command again, or wait longer with --wait',
  });
}

export function interrupted(when: string): OperatorError {
  return new OperatorError('INTERRUPTED', `stopped by a signal while ${when}`, {
    exitCode: EXIT.interrupted,
    hint: 'run the same command again to go on',
  });
}
