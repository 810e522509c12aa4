/** Lets at most `limit` run at once; the others wait in the order they came. A higher limit counts at once, a lower one as they end. */
export class Limiter {
  #limit: number;
  #active = 0;
  readonly #waiting = new Set<() => void>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  set limit(limit: number) {
    this.#limit = limit;
    this.#start();
  }

  /** @throws the signal's reason when it is aborted while waiting, and what `run` throws. */
  async run<Result>(run: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    await this.#turn(signal);
    try {
      return await run();
    } finally {
      this.#active -= 1;
      this.#start();
    }
  }

  async #turn(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = () => {
      this.#waiting.delete(resolve);
      reject(signal?.reason);
    };
    this.#waiting.add(resolve);
    signal?.addEventListener('abort', leave, { once: true });
    this.#start();
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', leave);
    }
  }

  #start(): void {
    for (const begin of this.#waiting) {
      if (this.#active >= this.#limit) return;
      this.#waiting.delete(begin);
      this.#active += 1;
      begin();
    }
  }
}
