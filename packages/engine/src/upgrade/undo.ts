import type { ReleaseChange, RunStart } from '../adapters/journal.ts';
import { FAILED_PREFIX, newNames } from '../backup/restore-names.ts';
import { commandActor } from '../config/actor.ts';
import type { Run } from '../history/runs.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { planRollback, type RollbackData } from '../plan/rollback.ts';
import type { HealthGate } from '../plan/upgrade.ts';
import type { ReleaseManifest } from '../release/manifest.ts';
import { keptRelease, openRoom } from '../release/room.ts';
import { isSchemaAccepted } from '../release/schema.ts';
import type { RunContext } from '../run/context.ts';
import { observe } from '../run/observe.ts';
import { presentHooks } from './hooks.ts';
import { lastRecorded } from './impact.ts';
import { type ReleasePins, readPins } from './pins.ts';

/** Where a release that says nothing of it must answer. */
export const USUAL_GATE: HealthGate = {
  checks: [
    { target: 'api', path: '/ready', status: 200 },
    { target: 'web', path: '/', status: 200 },
  ],
  timeoutSeconds: 180,
  stabilitySeconds: 10,
};

/**
 * The way back from an upgrade that failed: to the release that was in place before its last step that was recorded.
 * @throws OperatorError RECOVERY_NEEDED where neither the images fit the schema nor the data from before is there
 */
export async function planUndo(
  context: RunContext,
  run: Run,
  report: (line: string) => void,
): Promise<RunStart> {
  const { change } = run;
  if (!change) throw new Error('not an upgrade');
  const recorded = lastRecorded(run);
  const to = change.path.find(({ version }) => version !== null && version === recorded) ?? change.from;
  const copy = run.steps.findLast(({ step, finishedAt }) => step.kind === 'copy-database' && finishedAt)?.step;
  const kept = copy?.kind === 'copy-database' ? copy.database : null;
  const start = await planBack(context, { to, newest: change.path.at(-1) ?? to, data: kept }, report);
  return {
    ...start,
    command: 'automatic rollback',
    change: { ...start.change, undoes: run.id, environment: change.environment },
  };
}

export interface BackQuestion {
  to: ReleasePins;
  /** The newest release whose migrations may be in the schema. */
  newest: ReleasePins;
  /** A database that was kept before a contract migration; null: none. */
  data: string | null;
  /** The backup to take where the schema does not fit and no database was kept. */
  backup?: string | null;
}

/** The plan back to a release, from what is observed. @throws OperatorError SCHEMA_NOT_ACCEPTED, DATABASE_UNREACHABLE */
export async function planBack(
  context: RunContext,
  { to, newest, data: kept, backup = null }: BackQuestion,
  report: (line: string) => void,
): Promise<RunStart & { change: ReleaseChange }> {
  const { settings, clock, engineVersion } = context;
  const head = await schemaHead(context, report);
  const room = openRoom(settings, () => clock.date());
  const manifest = to.version === null ? null : await keptRelease(room, to.version);
  const newer = newest.version === null ? null : await keptRelease(room, newest.version);
  const accepted = manifest === null || isSchemaAccepted(manifest, head, newer?.schema.migrations);
  const data = accepted ? null : dataToGoBackTo(kept, backup);
  if (!accepted && !data) throw notAccepted(to, head, manifest);
  const from = (await readPins(settings.stateDirectory)) ?? { version: null, images: {} };
  const plan = planRollback(await observe(context), {
    from,
    to: { ...to, version: to.version ?? 'before' },
    healthGate: manifest?.healthGate ?? USUAL_GATE,
    operator: data !== null || manifest === null || manifest.schema.head === head,
    data,
    hooks: await presentHooks(settings.root),
  });
  return {
    command: 'rollback',
    goal: plan.goal,
    actor: commandActor(),
    engine: engineVersion,
    steps: plan.steps,
    change: { kind: 'rollback', from, path: [to], head, undoes: null, backup, environment: {} },
  };
}

function dataToGoBackTo(kept: string | null, backup: string | null): RollbackData | null {
  if (kept === null && backup === null) return null;
  const { incoming, outgoing } = newNames();
  const failed = outgoing.replace(/^.*?(?=\d)/, FAILED_PREFIX);
  return kept === null ? { incoming, outgoing: failed, backup } : { incoming: kept, outgoing: failed, backup: null };
}

const PATIENCE_MS = 60_000;
const POLL_MS = 1000;

/** A PostgreSQL that crashed is started again by Docker, and recovers. @throws OperatorError DATABASE_UNREACHABLE after a minute */
async function schemaHead(context: RunContext, report: (line: string) => void): Promise<string | null> {
  const { clock } = context;
  const deadline = clock.now() + PATIENCE_MS;
  for (;;) {
    const database = await context.observeDatabase();
    if (database.reachable) return database.schema.head;
    if (clock.now() > deadline)
      throw new OperatorError('DATABASE_UNREACHABLE', `the database does not answer: ${database.reason}`, {
        exitCode: EXIT.unhealthy,
        hint: 'see ./operator.sh logs postgres; when it answers: ./operator.sh rollback',
      });
    report(`waiting for the database: ${database.reason}`);
    await clock.sleep(POLL_MS);
  }
}

function notAccepted(
  { version }: ReleasePins,
  head: string | null,
  manifest: ReleaseManifest | null,
): OperatorError {
  return new OperatorError(
    'SCHEMA_NOT_ACCEPTED',
    `${version} does not run on this schema: it is at ${head ?? 'nothing'}, and ${version} knows it up to ${manifest?.schema.accepts.newest}`,
    {
      exitCode: EXIT.schema,
      hint: 'going back needs the data of before as well: ./operator.sh backup list, then ./operator.sh rollback --backup ID',
    },
  );
}
