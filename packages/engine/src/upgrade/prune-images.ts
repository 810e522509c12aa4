import type { LocalImage } from '../adapters/images.ts';
import { megabytes } from '../model/disk.ts';
import { messageOf } from '../model/errors.ts';
import { count, type StepOf } from '../model/plan.ts';
import type { ReleaseManifest } from '../release/manifest.ts';
import { keptRelease, openRoom } from '../release/room.ts';
import { compareVersions } from '../release/version.ts';
import type { RunContext } from '../run/context.ts';
import type { Report } from '../run/execute.ts';
import { readPins } from './pins.ts';

/**
 * Removes images of the platform that none of the versions to keep has, no container uses and nothing pins. Those of pinned services
 * (PostgreSQL, Garage) stay. The platform runs on the new version by now: what can't be removed is told, and is no failure.
 */
export async function pruneImages(
  { keep }: StepOf<'prune-images'>,
  context: RunContext,
  report: Report,
): Promise<void> {
  try {
    await prune(keep, context, report);
  } catch (error) {
    report(`old images were not removed: ${messageOf(error)}`);
  }
}

async function prune(keep: string[], context: RunContext, report: Report): Promise<void> {
  const { images, compose, settings } = context;
  const managed = new Set(
    (await compose.declaredServices()).flatMap(({ name, update }) => (update === 'managed' ? [name] : [])),
  );
  const releases = await readableReleases(context, report);
  const unknown = keep.filter((version) => !releases.some((release) => release.version === version));
  // What a version that can't be read has is not known, so nothing is known to be old.
  if (unknown.length > 0) return report(`old images stay: there is no release.json of ${unknown.join(', ')}`);
  const pins = Object.values((await readPins(settings.stateDirectory))?.images ?? {});
  const all = releases.flatMap((release) => ownImages(release, managed));
  // Newer ones were fetched by `update`.
  const newest = keep.toSorted(compareVersions).at(-1) ?? '0.0.0';
  const kept = releases
    .filter(({ version }) => keep.includes(version) || compareVersions(version, newest) > 0)
    .flatMap((one) => ownImages(one, managed));
  const isKept = await wantedImages(images, [...pins, ...kept.flatMap(({ references }) => references)]);
  const here = await imagesOf(images, all);
  const before = await images.disk();
  let removed = 0;
  for (const image of here.filter(({ id }) => !isKept.has(id))) {
    try {
      if (await images.remove(image.id)) removed += 1;
    } catch (error) {
      report(`${nameOf(image)} was not removed: ${messageOf(error)}`);
    }
  }
  if (removed === 0) return report('there is no old image to remove');
  const free = Math.max(0, (await images.disk()).available - before.available);
  report(`${count(removed, 'old image')} removed, ${megabytes(free)} came free`);
}

interface OwnImage {
  repository: string;
  /** Everything that this image may be called by. */
  references: string[];
}

function ownImages({ images }: ReleaseManifest, managed: ReadonlySet<string>): OwnImage[] {
  return Object.entries(images)
    .filter(([service]) => managed.has(service))
    .map(([, { name, digest, platforms }]) => {
      const each = Object.values(platforms);
      const digests = [digest, ...each.map((platform) => platform.digest)].filter((one) => one !== null);
      const configs = each.map(({ config }) => config).filter((one) => one !== null);
      return { repository: name, references: [...digests.map((one) => `${name}@${one}`), ...configs] };
    });
}

/** Every release.json that was kept. One that can't be read keeps nothing from being removed, and names nothing to remove. */
async function readableReleases({ settings, clock }: RunContext, report: Report): Promise<ReleaseManifest[]> {
  const room = openRoom(settings, () => clock.date());
  const found: ReleaseManifest[] = [];
  for (const version of await room.store.versions()) {
    try {
      const release = await keptRelease(room, version);
      if (release) found.push(release);
    } catch (error) {
      report(`${version}: ${messageOf(error)}`);
    }
  }
  return found;
}

/** Ids of what these references mean here. */
async function wantedImages(images: RunContext['images'], references: string[]): Promise<Set<string>> {
  const found = await Promise.all([...new Set(references)].map((reference) => images.find(reference)));
  return new Set(found.flatMap((image) => (image ? [image.id] : [])));
}

/** By repository, and by reference: containerd's store does not list what has no tag, and what came in a bundle may have no name. */
async function imagesOf(images: RunContext['images'], own: OwnImage[]): Promise<LocalImage[]> {
  const repositories = new Set(own.map(({ repository }) => repository));
  const listed = (await images.list()).filter(({ tags, digests }) =>
    [...tags, ...digests].some((name) => repositories.has(repositoryOf(name))),
  );
  const named = await Promise.all(
    [...new Set(own.flatMap(({ references }) => references))].map((reference) => images.find(reference)),
  );
  const byId = new Map(
    [...listed, ...named.filter((image) => image !== null)].map((image) => [image.id, image]),
  );
  return [...byId.values()];
}

/** `NAME` of `NAME@sha256:…` or `NAME:TAG`; a colon before the last slash is a port's. */
function repositoryOf(name: string): string {
  return name.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
}

function nameOf({ id, tags, digests }: LocalImage): string {
  return tags[0] ?? digests[0] ?? id;
}
