import { openChange } from '../history/last-change.ts';
import { isAtRun } from '../history/runs.ts';
import { OperatorError } from '../model/errors.ts';
import type {
  ChangeObservation,
  ContainerObservation,
  DatabaseObservation,
  DeclaredService,
  Observation,
  PinObservation,
} from '../model/observation.ts';
import { unfinishedRotation } from '../model/rotation.ts';
import { encryptionKeyId } from '../model/settings.ts';
import { pinnedAs, type ReleasePins, readPins } from '../upgrade/pins.ts';
import type { RunContext } from './context.ts';

/**
 * Looks at containers, schema and configuration. `recallServices` spares a command that only looks the reading of the compose files.
 * @throws OperatorError when Docker or the compose files can't be read
 */
export async function observe(
  context: RunContext,
  options: { recallServices?: boolean } = {},
): Promise<Observation> {
  const { runtime, settings, hostname } = context;
  const inContainers = settings.mode === 'containers';
  const [declared, containers, database, change, pins] = await Promise.all([
    declaredServices(context, options.recallServices ?? false),
    runtime.listContainers(settings.project),
    databaseOrReason(context),
    inContainers ? observeChange(context) : null,
    inContainers ? readPins(settings.stateDirectory) : null,
  ]);
  const services = declared.map((service) => {
    const own = containers.filter((container) => container.service === service.name);
    return { ...service, containers: own, self: own.some(({ id }) => id.startsWith(hostname)) };
  });
  return {
    project: settings.project,
    services,
    database,
    rotation: inContainers ? unfinishedRotation(settings.root) : null,
    encryptionKeyId: encryptionKeyId(settings),
    change,
    pins: pins && (await observePins(context, pins, containers)),
  };
}

export async function observeChange({ journal, runner }: RunContext): Promise<ChangeObservation | null> {
  const run = await openChange(journal);
  if (!run) return null;
  const running = run.outcome === 'unfinished' && isAtRun(run, (await runner.current())?.run);
  return { run, running };
}

/** Docker is asked for an image only where a container says another name: a tag may be the same image. */
async function observePins(
  { images }: RunContext,
  pins: ReleasePins,
  containers: ContainerObservation[],
): Promise<Record<string, PinObservation>> {
  const observed: Record<string, PinObservation> = {};
  for (const [service, image] of Object.entries(pins.images)) {
    const isNamed = containers.every((one) => pinnedAs(one.service) !== service || one.image === image);
    observed[service] = { image, id: isNamed ? null : ((await images.find(image))?.id ?? null) };
  }
  return observed;
}

async function declaredServices(
  { compose, serviceMemo }: RunContext,
  recall: boolean,
): Promise<DeclaredService[]> {
  const known = recall ? await serviceMemo.recall() : null;
  if (known) return known;
  const services = await compose.declaredServices();
  // Without the memo the next look takes longer; a full disk must not keep a person from looking.
  await serviceMemo.renew(services).catch(() => undefined);
  return services;
}

/** Without a password, or a database at all, there is none to be seen; that is a finding for `status`, not a failure of it. */
async function databaseOrReason(context: RunContext): Promise<DatabaseObservation> {
  try {
    return await context.observeDatabase();
  } catch (error) {
    if (error instanceof OperatorError && ['SECRET_MISSING', 'NO_DATA', 'LOCKED'].includes(error.code))
      return { reachable: false, reason: error.message };
    throw error;
  }
}
