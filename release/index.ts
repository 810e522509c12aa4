// The work of index.sh: see there. The tag is for people; digests are what was pushed, and each is asked for again.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { environment } from './environment.ts';

const { BUILD, PLATFORMS, PUBLISHED, REGISTRY, SERVICES, VERSION } = environment(
  'BUILD',
  'PLATFORMS',
  'PUBLISHED',
  'REGISTRY',
  'SERVICES',
  'VERSION',
);

interface Manifest {
  mediaType: string;
  config?: { digest: string };
  manifests?: { digest: string; platform: { os: string; architecture: string; variant?: string } }[];
}
interface Image {
  name: string;
  digest: string | null;
  platforms: Record<string, { digest: string; config: string }>;
}

function imagetools(...args: string[]): Buffer {
  return execFileSync('docker', ['buildx', 'imagetools', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 24,
  });
}

/** A manifest by its digest, from the registry. @throws Error if the registry gives another */
function manifestOf(name: string, digest: string): Manifest {
  const bytes = imagetools('inspect', '--raw', `${name}@${digest}`);
  const got = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  if (got !== digest) throw new Error(`${name}@${digest}: the registry gives ${got}`);
  return JSON.parse(bytes.toString());
}

/** What images.sh pushed of a service. */
function platformsOf(service: string, name: string): Image['platforms'] {
  const platforms: Image['platforms'] = {};
  for (const platform of PLATFORMS.split(',')) {
    const file = join(BUILD, 'images', `${service}-${platform.replaceAll('/', '-')}.json`);
    if (!existsSync(file)) throw new Error(`${file} is missing: run release/images.sh for ${platform} first`);
    const digest = JSON.parse(readFileSync(file, 'utf8'))['containerimage.digest'];
    const config = manifestOf(name, digest).config?.digest;
    if (!config) throw new Error(`${name}@${digest} is no manifest of an image`);
    platforms[platform] = { digest, config };
  }
  return platforms;
}

/** Makes the index, and looks at what it names. One platform alone can be tagged as it is, without an index. */
function makeIndex(name: string, platforms: Image['platforms']): string | null {
  const parts = Object.values(platforms).map(({ digest }) => `${name}@${digest}`);
  imagetools('create', '--tag', `${name}:${VERSION}`, ...parts);
  const bytes = imagetools('inspect', '--raw', `${name}:${VERSION}`);
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const { manifests } = manifestOf(name, digest);
  const named = manifests?.map((one) => one.digest) ?? [digest];
  const pushed = Object.values(platforms).map((one) => one.digest);
  if (named.toSorted().join() !== pushed.toSorted().join())
    throw new Error(`${name}:${VERSION} names ${named.join(', ')}, and not ${pushed.join(', ')}`);
  return manifests ? digest : null;
}

/** A version that was published never changes, and neither do its tags. */
function refusePublished(images: Record<string, Pick<Image, 'platforms'>>): void {
  const file = join(PUBLISHED, VERSION, 'release.json');
  if (PUBLISHED === '' || !existsSync(file)) return;
  const published = JSON.parse(readFileSync(file, 'utf8')).images as Record<string, Image>;
  for (const [service, { platforms }] of Object.entries(images))
    for (const [platform, { digest }] of Object.entries(platforms))
      if (published[service]?.platforms[platform]?.digest !== digest)
        throw new Error(`${VERSION} is published with another image of ${service}: take another version`);
}

const pushed = Object.fromEntries(
  SERVICES.split(' ').map((service) => {
    const name = `${REGISTRY}/kg-operator-${service}`;
    return [service, { name, platforms: platformsOf(service, name) }];
  }),
);
refusePublished(pushed);
const images = Object.fromEntries(
  Object.entries(pushed).map(([service, { name, platforms }]) => [
    service,
    { name, digest: makeIndex(name, platforms), platforms } satisfies Image,
  ]),
);
writeFileSync(join(BUILD, 'digests.json'), `${JSON.stringify(images, null, 2)}\n`);
