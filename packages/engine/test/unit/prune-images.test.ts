import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { buildRelease, type ReleaseInput } from '../../src/release/build.ts';
import { releaseStore } from '../../src/release/store.ts';
import type { RunContext } from '../../src/run/context.ts';
import { writePins } from '../../src/upgrade/pins.ts';
import { pruneImages } from '../../src/upgrade/prune-images.ts';
import { digest, fakeImages, image } from '../fake-images.ts';
import { declared } from '../observed.ts';
import { formatPublicKey, newKey, releaseInput, signed } from '../releases.ts';

const key = newKey();
let stateDirectory: string;
beforeEach(async () => {
  stateDirectory = await mkdtemp(join(tmpdir(), 'kg-prune-'));
  await writeFile(join(stateDirectory, 'keys'), formatPublicKey(key));
  process.env.KG_RELEASE_KEYS = join(stateDirectory, 'keys');
  await keep('1.0.0', 'a');
  await keep('1.1.0', 'b');
  await keep('1.2.0', 'c');
});
afterEach(async () => {
  delete process.env.KG_RELEASE_KEYS;
  await rm(stateDirectory, { recursive: true });
});

/** Its api and postgres are `@sha256:LETTER…`, and the api's configuration is `sha256:LETTERLETTER…`. */
async function keep(version: string, letter: string): Promise<void> {
  const images: ReleaseInput['images'] = {
    api: {
      name: 'registry.example/kg-api',
      digest: digest(letter),
      platforms: { 'linux/amd64': { digest: digest(letter), config: configOf(letter) } },
    },
    postgres: { name: 'registry.example/kg-postgres', digest: digest(letter), platforms: {} },
  };
  const bytes = buildRelease({ ...releaseInput(version), images });
  await releaseStore(stateDirectory).writeRelease(version, { bytes, signatures: signed(bytes, [key]) });
}
const configOf = (letter: string) => `sha256:${`${letter}0`.repeat(32)}`;
const api = (letter: string) =>
  image(configOf(letter), { digests: [`registry.example/kg-api@${digest(letter)}`] });

async function prune(images: ReturnType<typeof fakeImages>, versions: string[]) {
  const lines: string[] = [];
  const context = {
    images,
    compose: { declaredServices: async () => declared },
    settings: { stateDirectory },
    clock: { date: () => new Date('2026-11-23T12:00:00Z') },
  } as unknown as RunContext;
  await pruneImages({ kind: 'prune-images', keep: versions }, context, (line) => lines.push(line));
  return { left: [...images.local.keys()].sort(), lines };
}

test('what belongs to no version that is kept goes, and the space is told', async () => {
  const images = fakeImages({ here: [api('a'), api('b'), api('c')] });
  const { left, lines } = await prune(images, ['1.1.0', '1.2.0']);
  expect(left).toEqual([configOf('b'), configOf('c')]);
  expect(lines).toEqual(['1 old image removed, 100 MB came free']);
  expect((await prune(images, ['1.1.0', '1.2.0'])).lines).toEqual(['there is no old image to remove']);
});

test('what a container uses, what is pinned, pinned services and images of others stay', async () => {
  await writePins(stateDirectory, {
    version: '1.1.0',
    images: { api: `registry.example/kg-api@${digest('b')}` },
  });
  const here = [
    api('a'),
    api('b'),
    api('c'),
    image(digest('1'), { digests: [`registry.example/kg-postgres@${digest('a')}`] }),
    image(digest('2'), { tags: ['registry.example/somebody-elses-kg-api:1.0.0'] }),
    image(digest('3'), { tags: ['registry.example:5000/kg-api:1.0.0'] }),
  ];
  const { left } = await prune(fakeImages({ here, inUse: [configOf('a')] }), ['1.2.0']);
  expect(left).toEqual(here.map(({ id }) => id).sort());
});

test('what update fetched for later stays', async () => {
  const { left } = await prune(fakeImages({ here: [api('a'), api('b'), api('c')] }), ['1.1.0']);
  expect(left).toEqual([configOf('b'), configOf('c')]);
});

test('by tag of its repository, and by its id alone, as a bundle leaves it', async () => {
  const tagged = image(digest('4'), { tags: ['registry.example/kg-api:0.9.0'] });
  const { left } = await prune(fakeImages({ here: [tagged, image(configOf('a')), api('c')] }), ['1.2.0']);
  expect(left).toEqual([configOf('c')]);
});

test('without the release.json of a version that is kept nothing is known to be old', async () => {
  const images = fakeImages({ here: [api('a'), api('b')] });
  const { left, lines } = await prune(images, ['1.3.0']);
  expect(left).toHaveLength(2);
  expect(lines).toEqual(['old images stay: there is no release.json of 1.3.0']);
});

test('what fails is told and fails nothing', async () => {
  const images = fakeImages({ here: [api('a'), api('b'), api('c')] });
  const { remove } = images;
  images.remove = async (id) => {
    if (id === configOf('a')) throw new Error('it is being used');
    return remove(id);
  };
  const { left, lines } = await prune(images, ['1.2.0']);
  expect(left).toEqual([configOf('a'), configOf('c')].sort());
  expect(lines).toEqual([
    `registry.example/kg-api@${digest('a')} was not removed: it is being used`,
    '1 old image removed, 100 MB came free',
  ]);
  images.list = async () => {
    throw new Error('Docker does not answer');
  };
  expect((await prune(images, ['1.2.0'])).lines).toEqual([
    'old images were not removed: Docker does not answer',
  ]);
});
