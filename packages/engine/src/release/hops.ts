import type { ImageStoreKind } from '../adapters/images.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { BundledImage } from './bundle-source.ts';
import type { Channels } from './channels.ts';
import type { ReleaseManifest } from './manifest.ts';
import { fetchRelease, type ReleaseRoom } from './room.ts';
import { classify, type UpgradeClass } from './schema.ts';
import type { ReleaseSource } from './source.ts';

/** This host's, as registries name it: https://github.com/opencontainers/image-spec/blob/main/image-index.md */
export const PLATFORM = `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`;

/** One version of a path, and what the database has to go through for it. */
export interface Hop {
  release: ReleaseManifest;
  class: UpgradeClass;
  /** Ids of migrations, in order; those of earlier hops are not among them. */
  pending: string[];
  contract: string[];
}

/**
 * Every release.json of a path (findPath), checked, before anything is changed.
 * @param head the newest migration of the database; null: none
 * @throws OperatorError as fetchRelease
 */
export async function fetchHops(
  room: ReleaseRoom,
  source: ReleaseSource,
  channels: Channels,
  path: readonly string[],
  head: string | null,
): Promise<Hop[]> {
  const hops: Hop[] = [];
  for (const version of path) {
    const release = await fetchRelease(room, source, channels, version);
    hops.push({ release, ...classify(release, hops.at(-1)?.release.schema.head ?? head) });
  }
  return hops;
}

/**
 * What to pull for each service on a platform such as `linux/amd64`: `NAME@sha256:…`, of the index where there is one.
 * @throws OperatorError PLATFORM_UNSUPPORTED naming the services without an image for it
 */
export function imageReferences(
  { version, images }: ReleaseManifest,
  platform: string,
): Record<string, string> {
  const references: Record<string, string> = {};
  const without: string[] = [];
  for (const [service, { name, digest, platforms }] of Object.entries(images)) {
    const found = digest ?? platforms[platform]?.digest;
    if (found) references[service] = `${name}@${found}`;
    else without.push(`${service}: only for ${Object.keys(platforms).join(', ')}`);
  }
  if (without.length === 0) return references;
  throw new OperatorError('PLATFORM_UNSUPPORTED', `release ${version} has no images for ${platform}`, {
    exitCode: EXIT.precondition,
    details: without,
    hint: 'nothing was changed; ask who publishes the releases for images for this platform',
  });
}

/**
 * Services whose image a bundle does not hold, or that can't be told from its list because release.json names no configuration for the
 * platform. Only the configuration's digest is the same before `docker save` and after `docker load`.
 */
export function missingImages(
  { images }: ReleaseManifest,
  platform: string,
  bundled: readonly BundledImage[],
): string[] {
  const there = new Set(bundled.map(({ config }) => config));
  return Object.keys(images).filter((service) => {
    const config = images[service]?.platforms[platform]?.config;
    return !config || !there.has(config);
  });
}

/** What Docker calls the images of a bundle once they are loaded, by the digests of their configurations. */
export function loadedIds(bundled: readonly BundledImage[], store: ImageStoreKind): Map<string, string> {
  return new Map(
    bundled.flatMap(({ config, target }) => {
      const id = store === 'classic' ? config : target;
      return id === null ? [] : [[config, id] as const];
    }),
  );
}

/**
 * The image that each service runs, as Compose is told: from a registry `NAME@sha256:…`; from a bundle the id, which is made of the
 * content as well, because what `docker load` brings has lost its registry's digest. No tag decides anything. Pure.
 * @param loaded loadedIds() of the bundle; null: they are pulled
 * @throws OperatorError PLATFORM_UNSUPPORTED, BUNDLE_INCOMPLETE naming the services without an image
 */
export function imagesToRun(
  release: ReleaseManifest,
  platform: string,
  loaded: ReadonlyMap<string, string> | null,
): Record<string, string> {
  if (loaded === null) return imageReferences(release, platform);
  const references: Record<string, string> = {};
  const without: string[] = [];
  for (const [service, { platforms }] of Object.entries(release.images)) {
    const config = platforms[platform]?.config;
    const id = config && loaded.get(config);
    if (id) references[service] = id;
    else
      without.push(
        config ? `${service}: ${config}` : `${service}: release.json names no configuration for ${platform}`,
      );
  }
  if (without.length === 0) return references;
  throw new OperatorError('BUNDLE_INCOMPLETE', `the bundle lacks images of release ${release.version}`, {
    exitCode: EXIT.precondition,
    details: without,
    hint: 'nothing was changed; make the bundle with docker save of all images by their tags, for this platform and with Docker 25 or newer',
  });
}
