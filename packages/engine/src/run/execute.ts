import { requireConfiguration, requireReadableCredentials } from '../checks/configuration.ts';
import { commandActor } from '../config/actor.ts';
import { ensureFingerprint } from '../config/fingerprint.ts';
import { configureObjectStore } from '../config/garage.ts';
import { readMigrations } from '../migrations/files.ts';
import { migrate } from '../migrations/migrate.ts';
import { messageOf } from '../model/errors.ts';
import {
  type BackupStep,
  count,
  type Step,
  type StepKind,
  type StepOf,
  type UpgradeStep,
} from '../model/plan.ts';
import { infrastructureSecret } from '../model/settings.ts';
import type { RunContext } from './context.ts';
import { waitFor, waitHealthy } from './wait.ts';

/** Tells a person what happens inside a step. */
export type Report = (line: string) => void;

export type Executors<Kinds extends StepKind = StepKind> = {
  [K in Kinds]: (step: StepOf<K>, context: RunContext, report: Report) => Promise<void>;
};

const executors: Executors<Exclude<StepKind, (BackupStep | UpgradeStep)['kind']>> = {
  'compose-up': ({ services }, { compose }) => compose.up(services),
  'compose-stop': ({ services }, { compose }) => compose.stop(services),
  'wait-healthy': ({ services, timeoutSeconds }, context, report) =>
    waitHealthy(context, services, timeoutSeconds, report),

  async migrate(_step, context, report) {
    const session = await context.openSession();
    try {
      const applied = await migrate(session, await readMigrations(), {
        engineVersion: context.engineVersion,
        onStart: ({ id }) => report(id),
      });
      report(applied.length === 0 ? 'nothing to apply' : `applied ${count(applied.length, 'migration')}`);
    } finally {
      await session.close();
    }
  },

  async 'check-encryption-key'(_step, context, report) {
    const db = context.configDatabase();
    const encryptionKey = infrastructureSecret(context.settings, 'ENCRYPTION_KEY');
    await ensureFingerprint(db, encryptionKey);
    for (const { problem, fix } of await requireReadableCredentials(db, encryptionKey))
      report(`${problem}; nothing needs it now. ${fix}`);
  },

  async 'configure-object-store'(_step, context, report) {
    const { bucket } = await configureObjectStore(context.configDatabase(), context.garage(), {
      encryptionKey: infrastructureSecret(context.settings, 'ENCRYPTION_KEY'),
      endpoint: context.settings.garageS3Url,
      actor: commandActor(),
    });
    report(`bucket ${bucket}`);
  },

  async 'require-configuration'(_step, context) {
    await requireConfiguration(context.configDatabase());
  },

  async probe({ target, timeoutSeconds }, context, report) {
    const url =
      target === 'api' ? `${context.settings.gateway.api}/ready` : `${context.settings.gateway.web}/`;
    await waitFor(context, target === 'api' ? 'the API' : 'the web app', timeoutSeconds, report, () =>
      probe(context, target, url),
    );
  },
};

/** Runs one step with the executor of its kind. */
export async function executeStep(step: Step, context: RunContext, report: Report): Promise<void> {
  const all = step.kind in executors ? executors : await rareExecutors();
  const executor = (all as Executors)[step.kind] as (
    step: Step,
    context: RunContext,
    report: Report,
  ) => Promise<void>;
  return executor(step, context, report);
}

/** Loaded only when one is run: age, S3 and PostgreSQL's COPY would make every command 60 ms slower. */
async function rareExecutors(): Promise<Executors<(BackupStep | UpgradeStep)['kind']>> {
  const { backupExecutors } = await import('../backup/steps.ts');
  const { upgradeExecutors } = await import('../upgrade/steps.ts');
  return { ...backupExecutors, ...upgradeExecutors };
}

const PROBE_REQUEST_MS = 5000;

/** Null when the API says that it is ready, or the web app gives a page; otherwise why not. */
export async function probe(context: RunContext, target: 'api' | 'web', url: string): Promise<string | null> {
  try {
    const response = await context.fetch(url, { signal: AbortSignal.timeout(PROBE_REQUEST_MS) });
    const body = await response.text();
    if (!response.ok) return `HTTP ${response.status}`;
    if (target === 'web') return /<html/i.test(body) ? null : 'the answer is not a page';
    return (JSON.parse(body) as { ready?: boolean }).ready === true ? null : 'not ready yet';
  } catch (error) {
    return messageOf((error as { cause?: unknown }).cause ?? error);
  }
}
