import type { ConnectionSettings } from '@kg-operator/config';
import { actor, openSession } from '../database/session.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { compareCatalogs, readCatalog } from './catalog.ts';
import type { Migration } from './files.ts';
import { ensureLedger, insertRow, readEntries } from './ledger.ts';
import { takeRunnerLock } from './lock.ts';
import { describeDifference, replay, type VerifyOptions } from './verify.ts';

export interface BaselineOptions extends VerifyOptions {
  /** Who runs this, for the ledger; default `user@host`. */
  actor?: string;
}

/**
 * Adopts a database that has its schema already: if migrations up to and including `to`, replayed into a scratch database, make just
 * that schema, they are recorded as applied without being run. Returns their ids.
 * @throws OperatorError MIGRATION_UNKNOWN, BASELINE_NOT_EMPTY, BASELINE_DIFFERS with each difference, MIGRATION_LOCKED, and as replay
 */
export async function baseline(
  settings: ConnectionSettings,
  migrations: Migration[],
  to: string,
  options: BaselineOptions,
): Promise<string[]> {
  const last = migrations.findIndex(({ id }) => id === to);
  if (last < 0)
    throw new OperatorError('MIGRATION_UNKNOWN', `--to ${to}: there is no such migration in the folder`, {
      exitCode: EXIT.usage,
      hint: 'name one by its file name without .sql',
    });
  const adopted = migrations.slice(0, last + 1);
  const session = await openSession(settings, options);
  try {
    const [own] = await session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    // No runner may come in between what is looked at here and what is recorded.
    const lock = await takeRunnerLock(session, own?.pid ?? 0, { waitMs: 5000, signal: options.signal });
    try {
      const entries = await readEntries(session);
      if (entries.length > 0) throw notEmpty(entries.length);
      options.onStep?.('Reading the schema of the database');
      const found = await readCatalog(session);
      const differences = compareCatalogs(await replay(settings, adopted, options), found);
      if (differences.length > 0) throw differs(to, differences.map(describeDifference));
      lock.assertHeld();
      await ensureLedger(session);
      await session.query('BEGIN');
      try {
        const row = {
          ...options,
          actor: options.actor ?? actor(),
          durationMs: 0,
          state: 'baseline' as const,
        };
        for (const migration of adopted) await insertRow(session, migration, row);
        await session.query('COMMIT');
      } catch (error) {
        await session.query('ROLLBACK').catch(() => undefined); // the first error is the one to report
        throw error;
      }
      const recorded = await readEntries(session);
      return recorded.filter(({ state }) => state === 'baseline').map(({ id }) => id);
    } finally {
      await lock.release();
    }
  } finally {
    await session.close();
  }
}

function notEmpty(rows: number): OperatorError {
  return new OperatorError(
    'BASELINE_NOT_EMPTY',
    `the database has a ledger already, with ${rows} ${rows === 1 ? 'migration' : 'migrations'}: there is nothing to adopt`,
    {
      exitCode: EXIT.schema,
      hint: 'migrate applies what is pending; migrate verify compares the schema with the migrations',
    },
  );
}

function differs(to: string, details: string[]): OperatorError {
  return new OperatorError(
    'BASELINE_DIFFERS',
    `the schema is not the one that the migrations up to ${to} make; nothing was recorded`,
    {
      exitCode: EXIT.schema,
      details: details.flatMap((text) => text.split('\n')),
      hint: 'write what the database has (+) into the migrations, or change the database to what they make (-); or name another migration with --to',
    },
  );
}
