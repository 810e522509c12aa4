interface Entry<T> {
  value: T;
  uses: number;
  retired: boolean;
}

/**
 * A value that is replaced as a whole while it is used. Who began with one keeps it to the end; the one before is disposed of when nobody
 * uses it any more.
 */
export class InForce<T> {
  #entry: Entry<T>;
  readonly #dispose: (value: T) => void;
  readonly #waiting = new Set<() => void>();

  constructor(first: T, dispose: (value: T) => void) {
    this.#entry = { value: first, uses: 0, retired: false };
    this.#dispose = dispose;
  }

  /** The newest, to look at; to work with it call `use()`. */
  get current(): T {
    return this.#entry.value;
  }

  /** Runs with the newest value, which stays usable until then. */
  async use<Result>(run: (value: T) => Promise<Result>): Promise<Result> {
    const entry = this.#entry;
    entry.uses += 1;
    try {
      return await run(entry.value);
    } finally {
      entry.uses -= 1;
      this.#disposeIfUnused(entry);
    }
  }

  replace(next: T): void {
    const old = this.#entry;
    this.#entry = { value: next, uses: 0, retired: false };
    this.#retire(old);
    for (const look of this.#waiting) look();
  }

  /** Waits for a value that fits, which may be the one in force. @returns false after `timeoutMs` without one. */
  async waitFor(fits: (value: T) => boolean, timeoutMs: number): Promise<boolean> {
    if (fits(this.current)) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const look = () => {
      if (fits(this.current)) resolve(true);
    };
    this.#waiting.add(look);
    const timer = setTimeout(() => resolve(false), timeoutMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(look);
    }
  }

  /** Disposes of the last value, too. */
  close(): void {
    this.#retire(this.#entry);
  }

  #retire(entry: Entry<T>): void {
    entry.retired = true;
    this.#disposeIfUnused(entry);
  }

  #disposeIfUnused(entry: Entry<T>): void {
    if (entry.retired && entry.uses === 0) this.#dispose(entry.value);
  }
}
