import type { ConnectionSettings } from '@kg-operator/config';
import { type MigrationSession, openSession } from '../database/session.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type Catalog, compareCatalogs, type Difference, readCatalog } from './catalog.ts';
import { type Migration, toMigration } from './files.ts';
import { LEDGER_TABLE, readLedger } from './ledger.ts';
import { migrate } from './migrate.ts';
import { type ScratchOptions, withScratch } from './scratch.ts';

export interface VerifyOptions extends ScratchOptions {
  engineVersion: string;
  /** Told what is being done. */
  onStep?: (text: string) => void;
}

export interface VerifyReport {
  /** How many migrations were replayed. */
  migrations: number;
  /** How many objects were compared. */
  objects: number;
  differences: Difference[];
}

/**
 * Replays what the ledger says was applied into a scratch database, and compares the two schemas. The texts are those the ledger kept;
 * of ledgers older than that, those of the files.
 * @throws OperatorError NOTHING_APPLIED, MIGRATION_INTERRUPTED, MIGRATION_TEXT_MISSING, REPLAY_FAILED, and as withScratch
 */
export async function verify(
  settings: ConnectionSettings,
  files: Migration[],
  options: VerifyOptions,
): Promise<VerifyReport> {
  const live = await openSession(settings, options);
  let migrations: Migration[];
  let found: Catalog;
  try {
    migrations = await appliedMigrations(live, files);
    options.onStep?.('Reading the schema of the database');
    found = await readCatalog(live);
  } finally {
    await live.close();
  }
  const expected = await replay(settings, migrations, options);
  return {
    migrations: migrations.length,
    objects: new Set([...expected.keys(), ...found.keys()]).size,
    differences: compareCatalogs(expected, found),
  };
}

/** The schema that migrations make in an empty database. @throws OperatorError REPLAY_FAILED, and as withScratch */
export async function replay(
  settings: ConnectionSettings,
  migrations: Migration[],
  options: VerifyOptions,
): Promise<Catalog> {
  return withScratch(settings, options, async (session) => {
    options.onStep?.(`Replaying ${migrations.length} migrations into a scratch database`);
    // Checks are about data, of which a scratch database has none.
    const withoutChecks = migrations.map((migration) => ({ ...migration, verify: null }));
    try {
      await migrate(session, withoutChecks, { ...options, waitMs: 0 });
    } catch (error) {
      if (!(error instanceof OperatorError) || options.signal?.aborted) throw error;
      throw new OperatorError('REPLAY_FAILED', `in an empty database, ${error.message}`, {
        exitCode: EXIT.schema,
        hint: 'a migration that needs data or roles made elsewhere does not apply to an empty database, nor to a new installation',
        details: error.details,
        cause: error,
      });
    }
    return readCatalog(session);
  });
}

async function appliedMigrations(session: MigrationSession, files: Migration[]): Promise<Migration[]> {
  const ledger = await readLedger(session);
  if (ledger.length === 0)
    throw new OperatorError('NOTHING_APPLIED', 'the database has no applied migration to verify', {
      exitCode: EXIT.precondition,
      hint: 'apply them with migrate, or adopt what is there with migrate baseline',
    });
  const running = ledger.find(({ state }) => state === 'running');
  if (running)
    throw new OperatorError('MIGRATION_INTERRUPTED', `${running.id} has begun and is not done`, {
      exitCode: EXIT.schema,
      hint: 'run migrate first, which goes on with it',
    });
  const texts = new Map<string, string>();
  // An older ledger has no such column; its rows are the files' then.
  const hasTexts = ledger.some(({ transaction_mode }) => transaction_mode !== null);
  if (hasTexts)
    for (const { id, content } of await session.query<{ id: string; content: string | null }>(
      `SELECT id, content FROM ${LEDGER_TABLE}`,
    ))
      if (content !== null) texts.set(id, content);
  return ledger.map(({ id }) => {
    const text = texts.get(id) ?? files.find((file) => file.id === id)?.sql;
    if (text === undefined)
      throw new OperatorError(
        'MIGRATION_TEXT_MISSING',
        `the text of ${id} is neither in the ledger nor in the folder`,
        {
          exitCode: EXIT.schema,
          hint: `put ${id}.sql back into the folder`,
        },
      );
    return toMigration(id, text);
  });
}

/** Lines for a person: each difference, with the lines in which the definitions differ. */
export function describeDifference({ object, kind, expected, found }: Difference): string {
  const side = {
    added: 'added: the migrations do not make it',
    missing: 'missing: the migrations make it',
    changed: 'changed',
  }[kind];
  const [should, is] = [expected, found].map((text) =>
    (text ?? '').split('\n').filter((line) => line !== ''),
  );
  const lines = [
    ...(should ?? []).filter((line) => !is?.includes(line)).map((line) => `  - ${line}`),
    ...(is ?? []).filter((line) => !should?.includes(line)).map((line) => `  + ${line}`),
  ];
  return [`${object}  ${side}`, ...lines].join('\n');
}
