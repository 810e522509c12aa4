/** Failed logins are counted by the minute. */
const WINDOW_MS = 60_000;
/**
 * User names that are remembered at once. A login has failed only after some 30 ms of hashing, two at a time: one process does not get
 * through so many in a minute, and nobody can push a name out to try it again.
 */
const MAX_NAMES = 10_000;

/** Too many logins failed; seconds until the next is tried. */
export class TooManyAttempts extends Error {
  readonly retryAfter: number;

  constructor(retryAfter: number) {
    super(`too many failed logins, ${retryAfter} s to wait`);
    this.name = 'TooManyAttempts';
    this.retryAfter = retryAfter;
  }
}

/**
 * Failed logins by user name, whether there is such a user or not. One that succeeds forgets those before. In memory: with several copies
 * of the API each has its own count.
 */
export class LoginAttempts {
  /** `until`: when the minute that began with the first failure is over. */
  readonly #failed = new Map<string, { count: number; until: number }>();
  readonly #running = new Map<string, Set<Promise<void>>>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /**
   * Runs one login, which gives null when it fails. No more run at once than may still fail.
   * @throws TooManyAttempts after `limit` failures within a minute
   */
  async attempt<Result>(
    username: string,
    limit: number,
    login: () => Promise<Result | null>,
  ): Promise<Result | null> {
    for (;;) {
      const failed = this.#failures(username);
      const running = this.#running.get(username);
      if (failed >= limit) throw new TooManyAttempts(this.#secondsLeft(username));
      if (!running || failed + running.size < limit) return this.#run(username, login);
      await Promise.race(running);
    }
  }

  async #run<Result>(username: string, login: () => Promise<Result | null>): Promise<Result | null> {
    const ended = Promise.withResolvers<void>();
    const running = this.#running.get(username) ?? new Set();
    this.#running.set(username, running.add(ended.promise));
    try {
      const result = await login();
      if (result === null) this.#fail(username);
      else this.#failed.delete(username);
      return result;
    } finally {
      running.delete(ended.promise);
      if (running.size === 0) this.#running.delete(username);
      ended.resolve();
    }
  }

  #failures(username: string): number {
    const failed = this.#failed.get(username);
    if (failed && failed.until <= this.#now()) this.#failed.delete(username);
    return this.#failed.get(username)?.count ?? 0;
  }

  #fail(username: string): void {
    const count = this.#failures(username) + 1;
    const until = this.#failed.get(username)?.until ?? this.#now() + WINDOW_MS;
    this.#failed.set(username, { count, until });
    const [oldest] = this.#failed.keys();
    if (this.#failed.size > MAX_NAMES && oldest !== undefined) this.#failed.delete(oldest);
  }

  #secondsLeft(username: string): number {
    const until = this.#failed.get(username)?.until ?? 0;
    return Math.max(1, Math.ceil((until - this.#now()) / 1000));
  }
}
