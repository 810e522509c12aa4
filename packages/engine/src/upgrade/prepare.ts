import { copiesGoTo, newBackupId } from '../backup/installation.ts';
import { newNames } from '../backup/restore-names.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { Observation } from '../model/observation.ts';
import { OPERATOR_SERVICES, planUpgrade, type UpgradeGoal } from '../plan/upgrade.ts';
import { installedVersion } from '../release/available.ts';
import { isBundle } from '../release/bundle-source.ts';
import { type Channels, chooseTarget } from '../release/channels.ts';
import { fetchHops, type Hop, imagesToRun, loadedIds, PLATFORM } from '../release/hops.ts';
import type { ReleaseManifest } from '../release/manifest.ts';
import { openSource, usualSource } from '../release/open-source.ts';
import { findPath } from '../release/path.ts';
import { fetchChannels, fetchRelease, openRoom, type ReleaseRoom, requireFresh } from '../release/room.ts';
import type { ReleaseSource } from '../release/source.ts';
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

/** A verified list of releases, and the versions to walk to the one that is wanted. */
export interface Way {
  room: ReleaseRoom;
  source: ReleaseSource;
  channels: Channels;
  pins: ReleasePins | null;
  installed: string;
  target: string;
  path: string[];
}

/** @throws OperatorError those of release/: signature, replay, expiry, no path */
export async function findWay(
  { settings, clock, signal, engineVersion }: RunContext,
  observed: Observation,
  wish: Pick<UpgradeWish, 'to' | 'channel' | 'from'>,
): Promise<Way> {
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
  return { room, source, channels, pins, installed, target, path };
}

/** The file that images come from, and what Docker will call them; null: a registry. */
export async function bundledImages(
  { images }: RunContext,
  source: ReleaseSource,
): Promise<{ bundle: string | null; loaded: ReadonlyMap<string, string> | null }> {
  if (!isBundle(source)) return { bundle: null, loaded: null };
  const { store } = await images.engine();
  return { bundle: source.address, loaded: loadedIds(await source.images(), store) };
}

/**
 * Fetches and checks everything that an upgrade is planned by, and plans it. Changes nothing but what is known of releases.
 * @throws OperatorError those of release/: signature, replay, expiry, no path
 */
export async function prepareUpgrade(
  context: RunContext,
  observed: Observation,
  wish: UpgradeWish,
): Promise<PreparedUpgrade> {
  const { settings } = context;
  const { room, source, channels, pins, installed, target, path } = await findWay(context, observed, wish);
  const { database } = observed;
  if (!database.reachable)
    throw new OperatorError('DATABASE_UNREACHABLE', `the schema can't be read: ${database.reason}`, {
      exitCode: EXIT.unhealthy,
      hint: './operator.sh start, then again',
    });
  // Kept, so that there is something to go back by. What is installed may have been withdrawn since: all the more reason to leave it.
  await fetchRelease(room, source, { ...channels, yanked: [] }, installed);
  const hops = await fetchHops(room, source, channels, path, database.schema.head);
  const { bundle, loaded } = await bundledImages(context, source);
  const { references: before, ids } = await imagesNow(context, observed, pins);
  const goal: UpgradeGoal = {
    from: { version: installed, images: before },
    hops: hops.map(({ release, pending, contract }) => ({
      version: release.version,
      images: imagesOf(managedOnly(observed, release), { loaded, before, ids }),
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
export function managedOnly({ services }: Observation, release: ReleaseManifest): ReleaseManifest {
  const pinned = new Set(services.filter(({ update }) => update === 'pinned').map(({ name }) => name));
  const managed = Object.entries(release.images).filter(([service]) => !pinned.has(service));
  return { ...release, images: Object.fromEntries(managed) };
}

/**
 * What a release runs. A service whose image is the one that runs already keeps the name it runs by: an image of a bundle and the same of a
 * registry are called differently, and nothing is to be replaced for that.
 */
function imagesOf(
  release: ReleaseManifest,
  {
    loaded,
    before,
    ids,
  }: {
    loaded: ReadonlyMap<string, string> | null;
    before: Record<string, string>;
    /** Of the images that run, by service. */
    ids: Record<string, string>;
  },
): Record<string, string> {
  const images = imagesToRun(release, PLATFORM, loaded);
  for (const [service, image] of Object.entries(images)) {
    const config = release.images[service]?.platforms[PLATFORM]?.config;
    const isSame = [image, image.split('@')[1], config].includes(ids[service]);
    if (before[service] && isSame) images[service] = before[service];
  }
  return images;
}

/** What the managed services run now, by digest where one is known: what a rollback goes back to. */
async function imagesNow(
  { images }: RunContext,
  { services }: Observation,
  pins: ReleasePins | null,
): Promise<{ references: Record<string, string>; ids: Record<string, string> }> {
  const references: Record<string, string> = {};
  const ids: Record<string, string> = {};
  for (const { name, update, oneShot, optional, containers } of services) {
    const [container] = containers;
    // The console may run another image than the operator, whose image it is to be.
    if (update !== 'managed' || oneShot || optional || !container) continue;
    const key = OPERATOR_SERVICES.includes(name) ? 'operator' : name;
    const found = await images.find(container.imageId);
    const [repository] = container.image.split(/[@:](?=[^/]*$)/);
    references[key] =
      pins?.images[key] ??
      found?.digests.find((digest) => digest.startsWith(`${repository}@`)) ??
      found?.digests[0] ??
      container.imageId;
    ids[key] = (await images.find(references[key]))?.id ?? container.imageId;
  }
  return { references, ids };
}
