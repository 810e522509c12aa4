import type { ConnectionSettings } from './database.ts';
import { openDatabase } from './database.ts';
import { type LoadOptions, loadConfig, type PlatformConfig } from './load-config.ts';
import type { Secret } from './secret.ts';

export interface ConfigWatch {
  /** The last good configuration: one object, replaced as a whole. */
  current(): PlatformConfig;
  /** Why the newest configuration, or the database, can't be read; null when `current()` is the newest. */
  failure(): Error | null;
  /** Stops, and closes the connection. */
  close(): Promise<void>;
}

export interface WatchOptions extends LoadOptions {
  onChange?: (config: PlatformConfig) => void | Promise<void>;
  onError?: (error: Error) => void;
  /** How often the version is looked at, milliseconds; default 1000. */
  pollMs?: number;
}

/**
 * Follows the configuration.
 * @throws as `loadConfig()`, and node-postgres's errors, when the first configuration can't be read.
 */
export async function watchConfig(
  connection: ConnectionSettings | (() => Promise<ConnectionSettings>),
  encryptionKey: Secret,
  { onChange, onError, pollMs = 1000, ...load }: WatchOptions = {},
): Promise<ConfigWatch> {
  const db = openDatabase(connection, { max: 1 });
  let current = await loadConfig(db, encryptionKey, load);
  let failure: Error | null = null;
  const timer = setInterval(async () => {
    try {
      const next = await loadConfig(db, encryptionKey, load);
      failure = null;
      if (next.version === current.version) return;
      await onChange?.(next);
      current = next;
    } catch (error) {
      failure = error as Error;
      onError?.(failure);
    }
  }, pollMs);
  return {
    current: () => current,
    failure: () => failure,
    async close() {
      clearInterval(timer);
      await db.destroy();
    },
  };
}
