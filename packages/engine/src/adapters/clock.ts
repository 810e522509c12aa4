import { setTimeout as sleep } from 'node:timers/promises';

/** Time as the engine uses it; tests put in one that does not wait. */
export interface Clock {
  /** Milliseconds from an arbitrary start, never going back. */
  now(): number;
  /** What the wall clock says. */
  date(): Date;
  sleep(milliseconds: number): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  sleep: (milliseconds) => sleep(milliseconds),
};

/** Doubled after each try, with up to half of it more at random, so that many installations do not come back at one moment. In milliseconds. */
export function growingPause(firstMs: number, tried: number): number {
  return firstMs * 2 ** (tried - 1) * (1 + Math.random() / 2);
}
