import type { Kysely } from 'kysely';
import { readConfigRows, readConfigVersion } from './config-rows.ts';
import type { ConnectionSettings } from './database.ts';
import { keyInForce } from './encryption-key.ts';
import { SchemaMissing } from './errors.ts';
import { type Listener, openListener } from './listener.ts';
import { configOf, type LoadOptions, type PlatformConfig } from './load-config.ts';
import type { Secret } from './secret.ts';
import type { Tables } from './tables.ts';

export interface ConfigWatch {
  /** The last good configuration. It is replaced as a whole and never changed: who took it keeps what it took. */
  current(): PlatformConfig;
  /** Why the newest configuration, or the database, can't be read; null while `current()` is the newest. */
  failure(): Error | null;
  /** Stops, and closes the connection; waits for an `onChange` that is under way. */
  close(): Promise<void>;
}

export interface WatchOptions extends LoadOptions {
  /**
   * Called with every newer configuration before `current()` gives it. One that it throws for is not taken: the one before stays, the error
   * is the `failure()`, and it is called again after `pollMs`.
   */
  onChange?: (config: PlatformConfig) => void | Promise<void>;
  /** Called with a failure, once for as long as it stays the same. */
  onError?: (error: Error) => void;
  /** How often the version is looked at where no notification says so, milliseconds; default 1000. */
  pollMs?: number;
}

// Between two tries to connect: as short at first, and as long when the database has been away for some seconds.
const MIN_RETRY_MS = 100;
const MAX_RETRY_MS = 2_000;

/**
 * Follows the configuration over a connection of its own: it listens for changes, and looks at the version every `pollMs` besides, which
 * notices what no notification said and that the connection is dead. A connection that is lost is made again. A configuration that can't be
 * loaded never replaces one that could.
 *
 * Whoever has the ENCRYPTION_KEY from before a rotation that goes on meanwhile keeps reading after it is finished.
 * @throws as `loadConfig()`, and node-postgres's errors, when the first configuration can't be read.
 */
export async function watchConfig(
  connection: ConnectionSettings | (() => Promise<ConnectionSettings>),
  encryptionKey: Secret,
  { onChange, onError, pollMs = 1000, ...loadOptions }: WatchOptions = {},
): Promise<ConfigWatch> {
  const stop = new AbortController();
  const bell = new Bell();
  let listener: Listener | null = null;
  let failedReads = 0;
  let key = encryptionKey;
  let failure: Error | null = null;

  const read = async <Rows>(query: (db: Kysely<Tables>) => Promise<Rows>): Promise<Rows> => {
    try {
      listener ??= await openListener(typeof connection === 'function' ? await connection() : connection, {
        onNews: () => bell.ring(),
        signal: stop.signal,
      });
      const rows = await query(listener.db);
      failedReads = 0;
      return rows;
    } catch (error) {
      const isAnswer = error instanceof SchemaMissing;
      failedReads = isAnswer ? 0 : failedReads + 1;
      if (!isAnswer) {
        listener?.close();
        listener = null;
      }
      throw error;
    }
  };

  const load = async (): Promise<PlatformConfig> => {
    const rows = await read(readConfigRows);
    const config = configOf(rows, key, loadOptions);
    key = keyInForce(rows.fingerprint, key);
    return config;
  };

  let current = await load().catch((error: unknown) => {
    stop.abort();
    throw error;
  });

  const look = async () => {
    if (failure === null && (await read(readConfigVersion)) === current.version) return;
    const next = await load();
    if (next.version !== current.version) {
      await onChange?.(next);
      current = next;
    }
    failure = null;
  };

  const follow = async () => {
    for (;;) {
      await bell.wait(failedReads === 0 ? pollMs : retryDelay(failedReads));
      if (stop.signal.aborted) return;
      try {
        await look();
      } catch (error) {
        if (stop.signal.aborted) return;
        const isNews = failure?.message !== (error as Error).message;
        failure = error as Error;
        if (isNews) onError?.(failure);
      }
    }
  };
  const following = follow();

  return {
    current: () => current,
    failure: () => failure,
    async close() {
      stop.abort();
      bell.ring();
      await following;
    },
  };
}

/** Milliseconds before the next try: none after the first failure, which may be an old connection's, then longer and longer. */
function retryDelay(failures: number): number {
  return failures === 1 ? 0 : Math.min(MIN_RETRY_MS * 2 ** (failures - 2), MAX_RETRY_MS);
}

/** A pause that a ring ends; a ring while nobody waits ends the next one. */
class Bell {
  #rung = false;
  #wake = () => {};

  ring(): void {
    this.#rung = true;
    this.#wake();
  }

  async wait(ms: number): Promise<void> {
    if (!this.#rung) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, ms);
      this.#wake = resolve;
      await promise;
      clearTimeout(timer);
    }
    this.#rung = false;
  }
}
