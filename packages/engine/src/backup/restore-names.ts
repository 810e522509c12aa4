import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionSettings } from '@kg-operator/config';
import pg from 'pg';

/** Names of databases that a restore makes; whatever begins so is ours. The last are restored ones on which the platform did not run. */
export const INCOMING_PREFIX = 'kg_restore_';
export const OUTGOING_PREFIX = 'kg_before_';
export const FAILED_PREFIX = 'kg_failed_';

/** What names begin with: of databases being loaded, put aside, and put aside because the platform did not run on them; of buckets. */
export interface Prefixes {
  incoming: string;
  outgoing: string;
  failed: string;
  bucket: string;
}

export const PREFIXES: Prefixes = {
  incoming: INCOMING_PREFIX,
  outgoing: OUTGOING_PREFIX,
  failed: FAILED_PREFIX,
  bucket: 'kg-documents-',
};

/** Names that nothing has yet: databases of this server, a bucket of this Garage; or what the prefixes are of. */
export function newNames(
  prefixes = PREFIXES,
  at = new Date(),
): { incoming: string; outgoing: string; bucket: string } {
  const random = randomBytes(4).toString('hex');
  const time = at
    .toISOString()
    .replace(/[-:]|\.\d+Z/g, '')
    .toLowerCase();
  return {
    incoming: `${prefixes.incoming}${random}`,
    outgoing: `${prefixes.outgoing}${time}_${random}`,
    bucket: `${prefixes.bucket}${random}`,
  };
}

/** Databases that restores have put aside, oldest first, then those that failed, with their size in bytes. */
export async function databasesBefore(live: ConnectionSettings): Promise<{ name: string; bytes: number }[]> {
  return asAdministrator(live, async (client) => {
    const { rows } = await client.query<{ name: string; bytes: string }>(
      `SELECT datname AS name, pg_database_size(datname) AS bytes FROM pg_database WHERE starts_with(datname, $1) OR starts_with(datname, $2) ORDER BY 1`,
      [OUTGOING_PREFIX, FAILED_PREFIX],
    );
    return rows.map(({ name, bytes }) => ({ name, bytes: Number(bytes) }));
  });
}

export async function dropDatabase(live: ConnectionSettings, name: string): Promise<void> {
  if (name === live.database) throw new Error('that is the live database');
  await asAdministrator(live, (client) =>
    client.query(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`),
  );
}

/** Removes databases that a restore was loading when it ended. */
export async function removeIncoming(live: ConnectionSettings): Promise<void> {
  await asAdministrator(live, async (client) => {
    for (const name of await databaseNames(client))
      if (name.startsWith(INCOMING_PREFIX) && name !== live.database)
        await client.query(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`);
  });
}

export async function databaseNames(client: pg.Client): Promise<Set<string>> {
  const { rows } = await client.query<{ datname: string }>('SELECT datname FROM pg_database');
  return new Set(rows.map(({ datname }) => datname));
}

// A crashed PostgreSQL is started again by Docker at once, and recovers in seconds; after many crashes Docker waits longer.
const RECOVERY_MS = 60_000;

/** Returns when the server answers: one that has just crashed recovers. @throws what connecting threw last, after a minute */
export async function serverAnswers(live: ConnectionSettings, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + RECOVERY_MS;
  for (;;) {
    try {
      return await asAdministrator(live, async (client) => void (await client.query('SELECT 1')));
    } catch (error) {
      if (signal.aborted || performance.now() > deadline) throw error;
    }
    await sleep(500);
  }
}

/** A connection to the database `postgres`: the others can be renamed and dropped from there. */
export async function asAdministrator<T>(
  live: ConnectionSettings,
  use: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const { host, port, user } = live;
  const client = new pg.Client({
    host,
    port,
    user,
    database: 'postgres',
    password: live.password.reveal(),
    ...(live.tls ? { ssl: { rejectUnauthorized: live.tls === 'verify' } } : {}),
  });
  client.on('error', () => undefined); // a lost connection fails the query under way, or the next one
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
