import type { ContainerDetails } from '../adapters/docker.ts';

/** What was seen at one look. */
export interface Look {
  /** Of a clock that never goes back. */
  atMs: number;
  /** What is not as it should be: answers, and containers that don't run, are unhealthy or run another image. */
  wrong: string[];
  /** One of them that time will not mend. */
  final: string | null;
  /** The containers that must keep running. */
  containers: Pick<ContainerDetails, 'id' | 'name' | 'state' | 'health' | 'restarts' | 'startedAt'>[];
}

export interface Limits {
  /** How long it may take until all is right at once. */
  timeoutSeconds: number;
  /** How long all must then stay right. */
  stabilitySeconds: number;
}

export type Verdict = { kind: 'wait'; note: string } | { kind: 'well' } | { kind: 'failed'; why: string };

/**
 * Whether a new release is well, look by look. Pure. All must be right at once, and then stay so for `stabilitySeconds`. One wrong answer
 * begins that anew: requests get lost for many reasons. A container that ended inside it does not, because it would end again. At most
 * two further windows' time is given to blips.
 */
export class HealthWindow {
  readonly #limits: Limits;
  readonly #startedMs: number;
  /** When all was right for the first time, and the containers as they were then. */
  #first: Look | null = null;
  /** Since when all has been right. */
  #wellSinceMs: number | null = null;

  constructor(limits: Limits, startedMs: number) {
    this.#limits = limits;
    this.#startedMs = startedMs;
  }

  judge(look: Look): Verdict {
    const { stabilitySeconds } = this.#limits;
    const final = look.final ?? (this.#first && changedContainer(this.#first, look));
    if (final !== null) return { kind: 'failed', why: final };
    if (look.wrong.length > 0) {
      this.#wellSinceMs = null;
      const note = look.wrong[0] as string;
      if (this.#isOver(look.atMs)) return { kind: 'failed', why: this.#lateness() };
      return { kind: 'wait', note: this.#first ? `${note}; the ${stabilitySeconds} s begin anew` : note };
    }
    this.#first ??= look;
    this.#wellSinceMs ??= look.atMs;
    const wellMs = look.atMs - this.#wellSinceMs;
    if (wellMs >= stabilitySeconds * 1000) return { kind: 'well' };
    if (this.#isOver(look.atMs)) return { kind: 'failed', why: this.#lateness() };
    return { kind: 'wait', note: `well for ${Math.floor(wellMs / 1000)} of ${stabilitySeconds} s` };
  }

  #isOver(nowMs: number): boolean {
    const { timeoutSeconds, stabilitySeconds } = this.#limits;
    return this.#first
      ? nowMs >= this.#first.atMs + 3 * stabilitySeconds * 1000
      : nowMs >= this.#startedMs + timeoutSeconds * 1000;
  }

  #lateness(): string {
    const { timeoutSeconds, stabilitySeconds } = this.#limits;
    return this.#first
      ? `it was well, but never for ${stabilitySeconds} s on end`
      : `it was not well within ${timeoutSeconds} s`;
  }
}

/** A container of the first look that has ended or become unhealthy meanwhile, for whatever reason. */
function changedContainer(first: Look, now: Look): string | null {
  for (const before of first.containers) {
    const after = now.containers.find(({ id }) => id === before.id);
    if (!after) return `${before.name} is gone, ${since(first, now)}`;
    if (after.state !== 'running' || after.health === 'unhealthy')
      return `${before.name} is ${after.state === 'running' ? after.health : after.state}, ${since(first, now)}`;
    if (after.restarts !== before.restarts || after.startedAt !== before.startedAt)
      return `${before.name} ended and was started again, ${since(first, now)}`;
  }
  return null;
}

function since(first: Look, now: Look): string {
  return `${Math.round((now.atMs - first.atMs) / 1000)} s after it was well`;
}
