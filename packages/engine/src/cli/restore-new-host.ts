import { resolve } from 'node:path';
import { sql } from 'kysely';
import { dropPrevious } from '../backup/previous.ts';
import { checkBundle } from '../backup/read.ts';
import { newNames } from '../backup/restore-names.ts';
import { assertRestorable } from '../backup/restore-preflight.ts';
import { forgetExchange } from '../backup/unfinished.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { Plan } from '../model/plan.ts';
import { planRestore } from '../plan/restore.ts';
import { planStart } from '../plan/start.ts';
import type { RunContext } from '../run/context.ts';
import { observe } from '../run/observe.ts';
import { assertStarted } from './lifecycle.ts';
import { findSource, type KeyFlags, takeKeys } from './restore-source.ts';

export interface NewHost {
  context: RunContext;
  runPlan(plan: Plan): Promise<void>;
  say(text: string): void;
}

/**
 * A whole platform from one bundle on a host that has none: infrastructure with the secrets of this host, an empty database, the restore in
 * the place of configuration, the application. Returns the backup's id.
 * @throws OperatorError DATA_EXISTS, SCHEMA_NEWER, RESTORE_IMPOSSIBLE, DISK_FULL before anything is restored; BACKUP_… before anything is started
 */
export async function restoreOnNewHost(host: NewHost, file: string, flags: KeyFlags): Promise<string> {
  const { context } = host;
  await takeKeys(context, flags);
  const source = await findSource(context, resolve(file), () => undefined); // it warns of backups by their id only
  if ('dump' in source) throw onlyTheDatabase(file);
  context.backup.file = source.bundle;
  host.say('Reading and checking the whole backup');
  const checked = await checkBundle(context.backup.file);
  context.backup.checked = checked;

  const first = await observe(context);
  if (first.database.reachable) await assertNoData(context);
  const infrastructure = { infrastructure: true, application: false };
  await host.runPlan({ ...planStart(first, infrastructure), goal: 'start what the backup is restored into' });
  await assertNoData(context);
  await assertRestorable(context, checked, null);

  const goal = { backup: checked.manifest.id, only: null, ...newNames() };
  const plan = planRestore(await observe(context), goal);
  await host.runPlan({ ...plan, warnings: [], destructive: false });
  assertStarted(await observe(context), { infrastructure: true, application: true });
  await forgetExchange(context.settings.stateDirectory, goal.outgoing);
  // What was live until now is the empty database that was made above, and its empty bucket.
  await dropPrevious(context, goal.outgoing);
  return checked.manifest.id;
}

function onlyTheDatabase(file: string): OperatorError {
  return new OperatorError('DUMP_WITHOUT_SECRETS', `${file} is of pg_dump, which holds the database alone`, {
    exitCode: EXIT.precondition,
    hint: 'set the platform up first: ./operator.sh up; then ./operator.sh restore FILE',
  });
}

/** @throws OperatorError DATA_EXISTS */
async function assertNoData(context: RunContext): Promise<void> {
  const found = await dataIn(context);
  if (found.length === 0) return;
  throw new OperatorError('DATA_EXISTS', `this platform has data already: ${found.join(', ')}`, {
    exitCode: EXIT.precondition,
    hint: 'up --restore is for a new host; ./operator.sh restore FILE puts a backup in the place of the data, which it keeps',
  });
}

/** What a person has put into the database; a migrated one holds nothing of it. */
async function dataIn(context: RunContext): Promise<string[]> {
  const found: string[] = [];
  for (const [table, what] of [
    ['users', 'users'],
    ['documents', 'documents'],
    ['ai_provider_config', 'an AI provider'],
  ] as const) {
    const { rows } = await sql<{ there: boolean }>`
      SELECT to_regclass(${`kg_api.${table}`}) IS NOT NULL AS there`.execute(context.configDatabase());
    if (!rows[0]?.there) continue;
    const any = await sql`SELECT FROM ${sql.table(`kg_api.${table}`)} LIMIT 1`.execute(
      context.configDatabase(),
    );
    if (any.rows.length > 0) found.push(what);
  }
  return found;
}
