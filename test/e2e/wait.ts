import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Polls until `check` returns something truthy and returns that.
 * @throws Error naming `what`, with the last error of `check`, when `seconds` have passed
 */
export async function until<T>(
  what: string,
  check: () => T | Promise<T>,
  { seconds = 30, everyMs = 100 } = {},
): Promise<NonNullable<T>> {
  const deadline = performance.now() + seconds * 1000;
  let failure: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value) return value;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    if (performance.now() > deadline)
      throw new Error(`waited ${seconds} s in vain: ${what}`, { cause: failure });
    await sleep(everyMs);
  }
}
