import { describeError, type Log } from './log.ts';
import { shortReason } from './ready.ts';

/** It may be about to recover for this long; then somebody should know that the process would not start again as it is configured. */
const PATIENCE_MS = 60_000;

/** Whether the newest configuration is in force, and since when not. */
export class Reloading {
  #failure: { error: Error; since: number } | null = null;
  readonly #log: Log;
  readonly #now: () => number;

  constructor(log: Log, now: () => number = Date.now) {
    this.#log = log;
    this.#now = now;
  }

  /** To be told again and again; logs what is new. */
  observe(error: Error | null): void {
    const before = this.#failure;
    if (!error) {
      if (before) this.#log('info', 'the newest configuration is in force again');
      this.#failure = null;
      return;
    }
    this.#failure = { error, since: before?.since ?? this.#now() };
    if (before?.error.message === error.message) return;
    this.#log('error', 'configuration not taken up; the last good one stays in force', describeError(error));
  }

  /** For `/ready`: what is to be said although requests are served. @throws Error when it has lasted too long */
  async check(): Promise<string | undefined> {
    if (!this.#failure) return undefined;
    const { error, since } = this.#failure;
    const seconds = Math.round((this.#now() - since) / 1000);
    const text = `the last good configuration is in force, the newest can't be taken up since ${seconds} s: ${shortReason(error)}`;
    if (seconds * 1000 >= PATIENCE_MS) throw new Error(text);
    return text;
  }
}
