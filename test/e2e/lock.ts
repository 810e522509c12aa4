import { docker } from './command.ts';
import type { Installation } from './installation.ts';
import { until } from './wait.ts';

export const LOCK_HOLDER = { command: 'kg-operator start', pid: 1, since: '2026-01-02T03:04:05.000Z' };

/**
 * Holds the installation's lock, for as long as a test wants, the way run/lock.ts takes it: flock(2) on a file of the state directory.
 * A real command would be done too soon on a quick machine.
 * @returns what kills the holder, which frees the lock
 */
export async function holdLock({ prefix }: Installation): Promise<() => Promise<void>> {
  const operator = `${prefix}-operator`;
  // `sleep` is the process that has it.
  const script = `cd "$KG_ROOT/.operator" && exec 9>>lock && flock --nonblock 9 && echo '${JSON.stringify(LOCK_HOLDER)}' >holder.json &&
    echo $$ >/tmp/holding && exec sleep 600`;
  await docker('exec', '-d', operator, 'sh', '-c', script);
  const pid = await until('the lock is held', () =>
    docker('exec', operator, 'cat', '/tmp/holding').catch(() => ''),
  );
  return async () => {
    await docker('exec', operator, 'sh', '-c', `kill -9 ${pid} && rm /tmp/holding`);
  };
}
