import type pg from 'pg';
import { EXIT, OperatorError } from '../model/errors.ts';
import { qualified, rowsOf } from './database-connection.ts';
import { readLockable } from './database-contents.ts';

/** How long a lock is waited for. A session that alters a table holds it longer only if something is stuck. */
export const LOCK_WAIT_MS = 30_000;
const ATTEMPTS = 5;

type Lockable = Awaited<ReturnType<typeof readLockable>>;

/**
 * Begins a read-only transaction in which no table can be altered or dropped by others, and exports its snapshot. The locks come
 * first: a table that is rewritten between snapshot and lock would look empty to the snapshot.
 * @throws OperatorError DATABASE_BUSY when others keep on changing the schema
 */
export async function openSnapshot(client: pg.Client): Promise<{ snapshot: string; locked: Lockable }> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const locked = await readLockable(client);
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    try {
      await lockTables(client, locked);
    } catch (error) {
      if ((error as { code?: string }).code !== UNDEFINED_TABLE) throw error;
      await client.query('ROLLBACK');
      continue;
    }
    const [row] = await rowsOf<{ snapshot: string }>(
      client,
      'SELECT pg_catalog.pg_export_snapshot() AS snapshot',
    );
    const seen = await readLockable(client);
    if (row && JSON.stringify(seen) === JSON.stringify(locked)) return { snapshot: row.snapshot, locked };
    await client.query('ROLLBACK'); // a table was made meanwhile
  }
  throw busy('tables are being created and dropped all the time');
}

// https://www.postgresql.org/docs/17/errcodes-appendix.html
const UNDEFINED_TABLE = '42P01';
const LOCK_NOT_AVAILABLE = '55P03';

/**
 * Within a transaction. Every connection that reads a table needs its own lock from the beginning: later it would queue behind somebody
 * who waits to alter the table, who waits for us.
 * @throws OperatorError DATABASE_BUSY
 */
export async function lockTables(client: pg.Client, tables: Lockable): Promise<void> {
  if (tables.length === 0) return;
  try {
    await client.query(`SET LOCAL lock_timeout = ${LOCK_WAIT_MS}`);
    await client.query(
      `LOCK TABLE ${tables.map((table) => `ONLY ${qualified(table)}`).join(', ')} IN ACCESS SHARE MODE`,
    );
    await client.query('SET LOCAL lock_timeout = 0');
  } catch (error) {
    if ((error as { code?: string }).code !== LOCK_NOT_AVAILABLE) throw error;
    throw busy('another session is altering a table, and does not finish', error);
  }
}

function busy(why: string, cause?: unknown): OperatorError {
  return new OperatorError('DATABASE_BUSY', `the schema can't be held still for a backup: ${why}`, {
    exitCode: EXIT.precondition,
    hint: 'wait for the migration to end, then try again',
    cause,
  });
}
