import { copiesGoTo, newBackupId } from '../backup/installation.ts';
import { newNames } from '../backup/restore-names.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { Observation } from '../model/observation.ts';
import { OPERATOR_SERVICES, planUpgrade, type UpgradeGoal } from '../plan/upgrade.ts';
import { installedVersion } from '../release/available.ts';
import { chooseTarget } from '../release/channels.ts';
import { fetchHops, type Hop, imageReferences, PLATFORM } from '../release/hops.ts';
import { openSource, usualSource } from '../release/open-source.ts';
import { findPath } from '../release/path.ts';
import { fetchChannels, fetchRelease, openRoom, requireFresh } from '../release/room.ts';
import type { RunContext } from '../run/context.ts';
import { presentHooks } from './hooks.ts';
import { type ReleasePins, readPins } from './pins.ts';

export interface UpgradeWish {
  to?: string | undefined;
  channel?: string | undefined;
  from?: string | undefined;
  backup: boolean;
}

export interface PreparedUpgrade {
  installed: string;
  target: string;
  hops: Hop[];
  goal: UpgradeGoal;
  plan: ReturnType<typeof planUpgrade>;
}

/** The channel of who did not say which. */
const USUAL_CHANNEL = 'stable';

/**
 * Fetches and checks everything that an upgrade is planned by, and plans it. Changes nothing but what is known of releases.
 * @throws OperatorError those of release/: signature, replay, expiry, no path
 */
export async function prepareUpgrade(
  context: RunContext,
  observed: Observation,
  wish: UpgradeWish,
): Promise<PreparedUpgrade> {
  const { settings, clock, signal, engineVersion } = context;
  const room = openRoom(settings, () => clock.date());
  const source = await openSource(wish.from ?? (await usualSource(room)), { clock, signal });
  const known = await fetchChannels(room, source);
  requireFresh(known);
  const { channels } = known;
  const target = chooseTarget(
    channels,
    wish.to === undefined ? { channel: wish.channel ?? USUAL_CHANNEL } : { to: wish.to },
  );
  const pins = await readPins(settings.stateDirectory);
  const installed = pins?.version ?? installedVersion(observed, engineVersion);
  const path = findPath({ installed, target, ...channels });
  const { database } = observed;
  if (!database.reachable)
    throw new OperatorError('DATABASE_UNREACHABLE', `the schema can't be read: ${database.reason}`, {
      exitCode: EXIT.unhealthy,
      hint: './operator.sh start, then again',
    });
  // Kept, so that there is something to go back by.
  await fetchRelease(room, source, channels, installed);
  const hops = await fetchHops(room, source, channels, path, database.schema.head);
  const bundle = 'openImages' in source ? source.address : null;
  const goal: UpgradeGoal = {
    from: { version: installed, images: await imagesNow(context, observed, pins) },
    hops: hops.map(({ release, pending, contract }) => ({
      version: release.version,
      images: managedOnly(observed, imageReferences(release, PLATFORM)),
      pending,
      contract,
      healthGate: release.healthGate,
      databaseCopy: newNames().outgoing,
    })),
    bundle,
    backup: wish.backup ? { id: newBackupId(context), copyTo: await copiesGoTo(context) } : null,
    hooks: await presentHooks(settings.root),
  };
  return { installed, target, hops, goal, plan: planUpgrade(observed, goal) };
}

/** Pinned services have images in a release, too, for a first installation. An upgrade never takes them. */
function managedOnly({ services }: Observation, images: Record<string, string>): Record<string, string> {
  const pinned = new Set(services.filter(({ update }) => update === 'pinned').map(({ name }) => name));
  return Object.fromEntries(Object.entries(images).filter(([service]) => !pinned.has(service)));
}

/** What the managed services run now, by digest where one is known: what a rollback goes back to. */
async function imagesNow(
  { images }: RunContext,
  { services }: Observation,
  pins: ReleasePins | null,
): Promise<Record<string, string>> {
  const now: Record<string, string> = {};
  for (const { name, update, oneShot, optional, containers } of services) {
    const [container] = containers;
    // The console may run another image than the operator, whose image it is to be.
    if (update !== 'managed' || oneShot || optional || !container) continue;
    const key = OPERATOR_SERVICES.includes(name) ? 'operator' : name;
    const found = await images.find(container.imageId);
    const [repository] = container.image.split(/[@:](?=[^/]*$)/);
    now[key] =
      pins?.images[key] ??
      found?.digests.find((digest) => digest.startsWith(`${repository}@`)) ??
      found?.digests[0] ??
      container.imageId;
  }
  return now;
}
