import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { asAdministrator, databaseNames, dropDatabase } from '../backup/restore-names.ts';
import type { StepOf } from '../model/plan.ts';
import type { RunContext } from '../run/context.ts';
import type { Report } from '../run/execute.ts';

/** SQLSTATE object_in_use: somebody was quick to connect again. */
const IN_USE = '55006';
const ATTEMPTS = 5;

/**
 * Copies the database as it is, file by file: a way back that loses nothing, since the application is stopped. Who is connected all the
 * same is disconnected, because PostgreSQL copies only what nobody uses.
 * https://www.postgresql.org/docs/17/sql-createdatabase.html (STRATEGY FILE_COPY: quick for large ones, checkpoints before and after)
 */
export async function copyDatabase(
  { database }: StepOf<'copy-database'>,
  context: RunContext,
  report: Report,
): Promise<void> {
  const live = await context.databaseSettings();
  const [copy, original] = [database, live.database].map((name) => pg.escapeIdentifier(name));
  await asAdministrator(live, async (client) => {
    // One that a killed run had begun may be of an earlier moment, and the application may have written since.
    if ((await databaseNames(client)).has(database)) await client.query(`DROP DATABASE ${copy} WITH (FORCE)`);
    for (let attempt = 1; ; attempt++) {
      await client.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()',
        [live.database],
      );
      try {
        await client.query(`CREATE DATABASE ${copy} TEMPLATE ${original} STRATEGY FILE_COPY`);
        break;
      } catch (error) {
        if ((error as { code?: string }).code !== IN_USE || attempt === ATTEMPTS) throw error;
      }
      await sleep(500);
    }
    const { rows } = await client.query('SELECT pg_size_pretty(pg_database_size($1)) AS size', [database]);
    report(rows[0].size);
  });
}

/** After an upgrade that was undone without it. The live database is the original, and the platform has been seen to run on it. */
export async function dropCopy({ database }: StepOf<'drop-copy'>, context: RunContext): Promise<void> {
  await dropDatabase(await context.databaseSettings(), database);
}
