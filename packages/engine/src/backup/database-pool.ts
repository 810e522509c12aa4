import type { ConnectionSettings } from '@kg-operator/config';
import type pg from 'pg';
import { connect } from './database-connection.ts';

/** Connections that are handed out one by one; who finds none waits until one is given back. */
export interface Pool {
  take(): Promise<pg.Client>;
  give(client: pg.Client): void;
  use<Result>(work: (client: pg.Client) => Promise<Result>): Promise<Result>;
  end(): Promise<void>;
}

/** Opens `size` connections; they end with the signal at the latest. @throws OperatorError DATABASE_UNREACHABLE */
export async function openPool(
  settings: ConnectionSettings,
  size: number,
  signal: AbortSignal,
): Promise<Pool> {
  const all = await Promise.all(Array.from({ length: size }, () => connect(settings, signal)));
  const free = [...all];
  const waiting: ((client: pg.Client) => void)[] = [];
  const pool: Pool = {
    take: async () => free.pop() ?? (await new Promise((resolve) => waiting.push(resolve))),
    give(client) {
      const next = waiting.shift();
      if (next) next(client);
      else free.push(client);
    },
    async use(work) {
      const client = await pool.take();
      try {
        return await work(client);
      } finally {
        pool.give(client);
      }
    },
    async end() {
      await Promise.all(all.map((client) => client.end()));
    },
  };
  return pool;
}
