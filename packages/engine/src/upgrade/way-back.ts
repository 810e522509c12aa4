import type { ReleaseChange } from '../adapters/journal.ts';
import { FAILED_PREFIX, newNames } from '../backup/restore-names.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { Plan } from '../model/plan.ts';
import { planRollback } from '../plan/rollback.ts';
import type { HealthGate } from '../plan/upgrade.ts';
import type { ReleaseManifest } from '../release/manifest.ts';
import { keptRelease, openRoom } from '../release/room.ts';
import { isSchemaAccepted } from '../release/schema.ts';
import type { RunContext } from '../run/context.ts';
import { observe } from '../run/observe.ts';
import { type ReleasePins, readPins } from './pins.ts';

/** Where a release that says nothing of it must answer. */
const USUAL_GATE: HealthGate = {
  checks: [
    { target: 'api', path: '/ready', status: 200 },
    { target: 'web', path: '/', status: 200 },
  ],
  timeoutSeconds: 180,
  stabilitySeconds: 10,
};

/** Data from before: a database that was kept, or a backup. */
export type OlderData = { incoming: string; backup: null } | { incoming: null; backup: string };

export interface BackQuestion {
  to: ReleasePins;
  /** The newest release whose migrations may be in the schema. */
  newest: ReleasePins;
  /** What to take where the schema does not fit; null: there is nothing. */
  data: OlderData | null;
  /** `data` is a copy of what is live, unless its schema has changed since. */
  undoes?: boolean;
}

export interface Back {
  plan: Plan;
  change: ReleaseChange;
  /** Why the data has to go back as well; null: it stays. */
  reason: string | null;
}

/** The plan back to a release, from what is observed. @throws OperatorError SCHEMA_NOT_ACCEPTED, DATABASE_UNREACHABLE */
export async function planBack(
  context: RunContext,
  { to, newest, data, undoes = false }: BackQuestion,
  report: (line: string) => void,
): Promise<Back> {
  const { settings, clock } = context;
  const head = await schemaHead(context, report);
  const room = openRoom(settings, () => clock.date());
  const manifest = to.version === null ? null : await keptRelease(room, to.version);
  const newer = newest.version === null ? null : await keptRelease(room, newest.version);
  const accepted = manifest === null || isSchemaAccepted(manifest, head, newer?.schema.migrations);
  const reason = accepted ? null : notAccepted(to, head, manifest);
  if (reason !== null && data === null)
    throw new OperatorError('SCHEMA_NOT_ACCEPTED', reason, {
      exitCode: EXIT.schema,
      hint: 'going back needs the data of before as well: choose one of ./operator.sh backup list, then ./operator.sh rollback --backup ID',
    });
  const from = (await readPins(settings.stateDirectory)) ?? { version: null, images: {} };
  const { incoming, outgoing } = newNames();
  const plan = planRollback(await observe(context), {
    from,
    to: { ...to, version: to.version ?? 'before' },
    healthGate: manifest?.healthGate ?? USUAL_GATE,
    operator: reason !== null || manifest === null || manifest.schema.head === head,
    data:
      reason === null || data === null
        ? null
        : {
            incoming: data.incoming ?? incoming,
            outgoing: outgoing.replace(/^.*?(?=\d)/, FAILED_PREFIX),
            backup: data.backup,
          },
    copy: undoes ? (data?.incoming ?? null) : null,
  });
  const change: ReleaseChange = {
    ...{ kind: 'rollback', from, path: [to], head, undoes: null, backup: data?.backup ?? null },
    environment: {},
  };
  return { plan, change, reason };
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
): string {
  const { oldest, newest } = manifest?.schema.accepts ?? {};
  return `${version} does not run on this schema: it is at ${head ?? 'nothing'}, and ${version} knows ${oldest === newest ? newest : `${oldest} to ${newest}`}`;
}
