import { createTwoFilesPatch } from 'diff';
import type { MigrationSession } from '../database/session.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { SchemaObservation } from '../model/observation.ts';
import { type Migration, numberOf } from './files.ts';
import { type LedgerEntry, readContent } from './ledger.ts';

/** A way in which a folder and a ledger contradict each other. */
export interface HistoryProblem {
  code:
    | 'MIGRATION_DIRECTORY'
    | 'MIGRATION_RENAMED'
    | 'MIGRATION_MISSING'
    | 'SCHEMA_NEWER'
    | 'MIGRATION_CHANGED'
    | 'MIGRATION_OUT_OF_ORDER';
  /** The migrations it is about. */
  ids: string[];
  message: string;
  /** The fix. */
  hint: string;
}

/** What is applied and what is not; a migration that has begun and is not done is still pending. */
export function compareWithLedger(
  ids: string[],
  ledger: Pick<LedgerEntry, 'id' | 'state'>[],
): SchemaObservation {
  const applied = ledger.filter(({ state }) => state !== 'running');
  const done = new Set(applied.map(({ id }) => id));
  return {
    head: applied.at(-1)?.id ?? null,
    applied: applied.length,
    pending: ids.filter((id) => !done.has(id)),
  };
}

/** Every contradiction between files and ledger, the one to be solved first first. Pure. */
export function findHistoryProblems(migrations: Migration[], ledger: LedgerEntry[]): HistoryProblem[] {
  const files = new Map(migrations.map((migration) => [migration.id, migration]));
  const rows = new Map(ledger.map((row) => [row.id, row]));
  const unknown = ledger.filter(({ id }) => !files.has(id));
  const pending = migrations.filter(({ id }) => !rows.has(id));
  const last = migrations.at(-1)?.number ?? 0;

  const renamed = unknown.flatMap(({ id, checksum }) => {
    const file = pending.find((candidate) => isSumOf(candidate, checksum));
    return file ? [{ from: id, to: file.id }] : [];
  });
  const gone = unknown.map(({ id }) => id).filter((id) => !renamed.some(({ from }) => from === id));
  const missing = gone.filter((id) => numberOf(id) <= last);
  const newer = gone.filter((id) => numberOf(id) > last);
  const foreign = missing.length > 0 && gone.length === ledger.length;
  const changed = ledger.filter(({ id, checksum, state }) => {
    const file = files.get(id);
    return file !== undefined && state !== 'running' && !isSumOf(file, checksum);
  });
  const head = ledger.filter(({ state }) => state !== 'running').at(-1);
  const late = pending.filter(
    ({ id, number }) =>
      head !== undefined && number <= numberOf(head.id) && !renamed.some(({ to }) => to === id),
  );

  const problems: (HistoryProblem | false)[] = [
    renamed.length > 0 && {
      code: 'MIGRATION_RENAMED',
      ids: renamed.map(({ to }) => to),
      message: `files have another name than when they were applied: ${renamed.map(({ from, to }) => `${from} is now ${to}`).join(', ')}`,
      hint: `give them their names back: ${renamed.map(({ from, to }) => `${to}.sql to ${from}.sql`).join(', ')}`,
    },
    foreign && {
      code: 'MIGRATION_DIRECTORY',
      ids: gone,
      message: `none of the ${ledger.length} migrations this database has is in the folder: it is another project's`,
      hint: "name this database's own folder with --dir, or another database",
    },
    !foreign &&
      missing.length > 0 && {
        code: 'MIGRATION_MISSING',
        ids: missing,
        message: `migrations that were applied have no file any more: ${missing.join(', ')}`,
        hint: 'put the files back; column content of kg_operator.schema_migrations keeps their texts',
      },
    !foreign &&
      newer.length > 0 && {
        code: 'SCHEMA_NEWER',
        ids: newer,
        message: `the database has migrations that this engine does not know: ${newer.join(', ')}`,
        hint: 'use the engine version that applied them, or a newer one',
      },
    changed.length > 0 && {
      code: 'MIGRATION_CHANGED',
      ids: changed.map(({ id }) => id),
      message: `files that were applied have changed since: ${changed.map(({ id }) => `${id}.sql`).join(', ')}`,
      hint: `restore the files as they were applied, and put the change in a new migration; where the database is right as it is: ${changed.map(({ id }) => `--accept-drift ${id}`).join(' ')}`,
    },
    late.length > 0 && {
      code: 'MIGRATION_OUT_OF_ORDER',
      ids: late.map(({ id }) => id),
      message: `files are numbered below ${head?.id}, which is applied already: ${late.map(({ id }) => `${id}.sql`).join(', ')}`,
      hint: `give them numbers above ${head?.id.match(/^\d+/)?.[0]}`,
    },
  ];
  return problems.filter((problem) => problem !== false);
}

/**
 * Refuses a folder and a database that do not belong together.
 * @throws OperatorError with the code of the first problem, exit 8; its details name the others, and show changes as a unified diff
 * against what was applied
 */
export async function assertHistoryFits(
  session: Pick<MigrationSession, 'query'>,
  migrations: Migration[],
  ledger: LedgerEntry[],
): Promise<void> {
  const [first, ...others] = findHistoryProblems(migrations, ledger);
  if (!first) return;
  const details = others.map(({ message }) => `also: ${message}`);
  if (first.code === 'MIGRATION_CHANGED')
    details.unshift(...(await Promise.all(first.ids.map((id) => driftOf(session, migrations, id)))).flat());
  throw new OperatorError(first.code, first.message, { exitCode: EXIT.schema, hint: first.hint, details });
}

/** The lines of a unified diff from the applied text to the file's. */
export async function driftOf(
  session: Pick<MigrationSession, 'query'>,
  migrations: Migration[],
  id: string,
): Promise<string[]> {
  const file = migrations.find((migration) => migration.id === id);
  if (!file) return [];
  const applied = await readContent(session, id).catch((error: unknown) => {
    // A ledger of version 0.1.0 has no such column.
    if ((error as { code?: string }).code === '42703') return null;
    throw error;
  });
  if (applied === null) return [`${file.file}: the applied text was not kept by the version that applied it`];
  return createTwoFilesPatch(`${id}.sql as applied`, file.file, applied, file.sql, undefined, undefined, {
    context: 3,
  })
    .split('\n')
    .filter((line) => line !== '' && !/^=+$/.test(line));
}

function isSumOf(migration: Migration, checksum: string): boolean {
  return migration.checksum === checksum || migration.checksumOfWhole === checksum;
}
