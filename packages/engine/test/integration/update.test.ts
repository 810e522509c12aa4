import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { RunContext } from '../../src/run/context.ts';
import { guide, pinnedGuide } from '../../src/upgrade/pinned.ts';
import { prepareUpdate, serviceNamed } from '../../src/upgrade/update.ts';
import { digest, fakeImages, image } from '../fake-images.ts';
import { runningPlatform } from '../observed.ts';
import { formatPublicKey, newKey, publish, releaseInput, writeFiles } from '../releases.ts';

const key = newKey();
let root: string;
let context: RunContext;
let images: ReturnType<typeof fakeImages>;
const inputOf = (version: string, letter: string) => {
  const input = releaseInput(version);
  const name = (service: string) => ({
    name: `registry.example/kg-${service}`,
    digest: digest(letter),
    platforms: {},
  });
  return { ...input, images: { api: name('api'), operator: name('operator'), postgres: name('postgres') } };
};
const reference = (service: string, letter: string) => `registry.example/kg-${service}@${digest(letter)}`;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kg-update-'));
  await writeFile(join(root, 'release.pub'), formatPublicKey(key));
  process.env.KG_RELEASE_KEYS = join(root, 'release.pub');
  const files = publish([inputOf('1.0.0', 'a'), inputOf('1.1.0', 'b'), inputOf('1.2.0', 'c')], {
    keys: [key],
    channels: { stable: '1.1.0', edge: '1.2.0' },
  });
  await writeFiles(join(root, 'releases'), files);
  images = fakeImages();
  context = {
    settings: { root, stateDirectory: join(root, '.operator') },
    engineVersion: '1.0.0',
    images,
    clock: { date: () => new Date('2026-11-23T12:00:00Z') },
    runtime: { volumesOf: async () => ['kg_postgres-data'] },
    signal: new AbortController().signal,
  } as unknown as RunContext;
});
afterEach(async () => {
  delete process.env.KG_RELEASE_KEYS;
  await rm(root, { recursive: true, force: true });
});

const prepare = (wish: { to?: string; channel?: string } = {}, service: string | null = null) => {
  const observed = runningPlatform();
  for (const one of observed.services)
    for (const container of one.containers) Object.assign(container, { version: '1.0.0' });
  return prepareUpdate(context, observed, { from: join(root, 'releases'), ...wish }, service);
};

describe('what update fetches', () => {
  test('the images of the way, by digest, without those of pinned services', async () => {
    const { installed, target, path, images: listed, plan } = await prepare();
    expect({ installed, target, path }).toEqual({ installed: '1.0.0', target: '1.1.0', path: ['1.1.0'] });
    expect(listed).toEqual([
      { service: 'api', version: '1.1.0', image: reference('api', 'b'), here: false },
      { service: 'operator', version: '1.1.0', image: reference('operator', 'b'), here: false },
    ]);
    expect(plan.steps).toEqual([
      { kind: 'pull-images', images: [reference('api', 'b'), reference('operator', 'b')], bundle: null },
    ]);
    expect(images.pulls).toEqual([]);
  });

  test('of another channel or version, of one service; the one-shot job has the image of the operator', async () => {
    expect((await prepare({ channel: 'edge' }, 'api')).images).toEqual([
      { service: 'api', version: '1.2.0', image: reference('api', 'c'), here: false },
    ]);
    expect((await prepare({ to: '1.1.0' }, 'migrate')).images).toEqual([
      { service: 'operator', version: '1.1.0', image: reference('operator', 'b'), here: false },
    ]);
    expect((await prepare({}, 'web')).images).toEqual([]);
  });

  test('not what is here already', async () => {
    images.local.set('1', image(digest('1'), { digests: [reference('api', 'b')] }));
    expect((await prepare()).plan.steps).toEqual([
      { kind: 'pull-images', images: [reference('operator', 'b')], bundle: null },
    ]);
    images.local.set('2', image(digest('2'), { digests: [reference('operator', 'b')] }));
    expect((await prepare()).plan.steps).toEqual([]);
    expect(await prepare({ to: '1.0.0' })).toMatchObject({ path: [], images: [] });
  });
});

test('a service that there is not: what was probably meant', () => {
  expect(() => serviceNamed(runningPlatform(), 'postgers')).toThrow(
    expect.objectContaining({ code: 'USAGE', exitCode: 2, hint: 'did you mean postgres?' }),
  );
  expect(() => serviceNamed(runningPlatform(), 'x')).toThrow(
    expect.objectContaining({ hint: expect.stringContaining('there are: postgres, garage') }),
  );
});

describe('a pinned service', () => {
  test('is changed by hand, with the names of this installation', async () => {
    const postgres = serviceNamed(runningPlatform(), 'postgres');
    const files = ['docker-compose.yml', 'docker-compose.ghcr.yml'].map((name) => join(root, 'docker', name));
    const pinned = await pinnedGuide(context, postgres, { COMPOSE_FILE: files.join(':') });
    expect(pinned).toMatchObject({
      service: 'postgres',
      image: 'kg-operator-postgres:test',
      files: [
        'docker/docker-compose.yml',
        'docker/docker-compose.ghcr.yml',
        'docker/docker-compose.override.yml',
      ],
      volumes: ['kg_postgres-data'],
    });
    expect(pinned.steps.flatMap(({ command }) => command ?? [])).toEqual([
      './operator.sh backup',
      'eval "$(./operator.sh env)" && docker compose pull postgres',
      './operator.sh start',
      './operator.sh status',
      './operator.sh start',
    ]);
    expect(pinned.steps[1]?.text).toContain('docker/docker-compose.override.yml');
    expect(pinned.warnings[0]).toContain('does not read kg_postgres-data');
  });

  test('that is unknown to us has a general warning', () => {
    const { warnings } = guide({ service: 'cache', image: null, files: ['a.yml'], volumes: [] });
    expect(warnings).toEqual([expect.stringContaining('release notes')]);
  });
});
