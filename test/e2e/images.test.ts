import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { dockerImages } from '../../packages/engine/src/adapters/images.ts';
import { bundleSource } from '../../packages/engine/src/release/bundle-source.ts';
import { loadedIds } from '../../packages/engine/src/release/hops.ts';
import { docker, expectCode, run } from './command.ts';
import { type FaultyRegistry, faultyRegistry } from './faulty-registry.ts';

/** The engine's image store on the real Docker, with a registry that fails in every way. */
const images = dockerImages();
const never = new AbortController().signal;
const repository = `kge2e-images-${randomBytes(4).toString('hex')}`;
const pushed = `127.0.0.1:5000/${repository}`;
let folder: string;
let digest: string;
let config: string;
/** `NAME@DIGEST` of what is in the registry. */
const published: string[] = [];
let registry: FaultyRegistry;
const open: FaultyRegistry[] = [];

async function faulty(fault: FaultyRegistry['fault'] = () => null): Promise<string> {
  registry = await faultyRegistry();
  registry.fault = fault;
  open.push(registry);
  return `${registry.host}/${repository}@${digest}`;
}
const on = (part: 'manifests' | 'blobs', fault: Exclude<ReturnType<FaultyRegistry['fault']>, null>) => {
  return ({ path }: { path: string }) => (path.includes(`/${part}/`) ? fault : null);
};
async function removeFromRegistry(image: string): Promise<void> {
  const url = `http://127.0.0.1:5000/v2/${image.replace('@', '/manifests/')}`;
  expect((await fetch(url, { method: 'DELETE' })).status).toBe(202);
}
/** Removes what this test pulled, so that the layer comes anew. */
async function forget(): Promise<void> {
  await run('docker', ['image', 'rm', '--force', config]);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kg-e2e-images-'));
  await writeFile(join(folder, 'large'), randomBytes(3_000_000));
  await writeFile(join(folder, 'Dockerfile'), 'not used');
  expectCode(await run('tar', ['-C', folder, '-cf', join(folder, 'layer.tar'), 'large']));
  // Imported, not built: the build cache would keep the layer, and nothing would have to be pulled.
  const change = ['--change', 'LABEL org.opencontainers.image.version=1.2.3', '--change', 'CMD ["/large"]'];
  await docker('image', 'import', ...change, join(folder, 'layer.tar'), `${pushed}:1.2.3`);
  await docker('push', '--quiet', `${pushed}:1.2.3`);
  const found = await images.find(`${pushed}:1.2.3`);
  config = found?.id as string;
  digest = found?.digests[0]?.split('@')[1] as string;
  published.push(`${repository}@${digest}`);
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  await forget();
});
afterAll(async () => {
  for (const one of published) await removeFromRegistry(one);
  await rm(folder, { recursive: true, force: true });
});

describe('pull', () => {
  test('brings exactly the digest, telling how much came, and finds it under that name', async () => {
    await forget();
    const reference = await faulty();
    expect(await images.find(reference)).toBeNull();
    await images.ask(reference, never);
    expect(await images.find(reference)).toBeNull();
    await images.pull(reference, () => undefined, never);
    expect(await images.find(reference)).toMatchObject({
      id: config,
      digests: [reference],
      version: '1.2.3',
    });
    expect((await images.list()).find(({ id }) => id === config)).toMatchObject({ digests: [reference] });
    expect(await images.remove(config)).toBe(true);
    expect(await images.find(reference)).toBeNull();
  });

  test('a registry that is off, a name that does not exist', async () => {
    const reference = await faulty();
    await registry.close();
    await expect(images.pull(reference, () => undefined, never)).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
    });
    await expect(images.ask(reference, never)).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
    const nowhere = `registry.invalid/${repository}@${digest}`;
    await expect(images.pull(nowhere, () => undefined, never)).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
    });
    await expect(images.ask(`${pushed}@sha256:${'0'.repeat(64)}`, never)).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
    });
  });

  test('a registry that stops in the middle is given up, and an interrupt is heard', async () => {
    await forget();
    const reference = await faulty(({ path }) => {
      const isLayer = path.includes('/blobs/') && !path.includes(config);
      return isLayer ? { after: 100_000, silent: true } : null;
    });
    const impatient = dockerImages(undefined, { stallMs: 1500 });
    await expect(impatient.pull(reference, () => undefined, never)).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
      message: expect.stringContaining('nothing came for 1.5 s'),
    });
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 300);
    await expect(images.pull(reference, () => undefined, abort.signal)).rejects.toMatchObject({
      code: 'INTERRUPTED',
    });
    // What is asked next is not disturbed by what was given up.
    registry.fault = () => null;
    await images.pull(reference, () => undefined, never);
    expect(await images.find(reference)).toMatchObject({ id: config });
  });

  // Last: containerd's image store of Docker 26 keeps wrong bytes, and fails with them again.
  test.each([
    ['IMAGE_NOT_FOUND', on('manifests', { status: 404, code: 'MANIFEST_UNKNOWN' })],
    ['IMAGE_NOT_FOUND', on('blobs', { status: 404, code: 'BLOB_UNKNOWN' })],
    ['PULL_DENIED', on('manifests', { status: 401, code: 'UNAUTHORIZED' })],
    ['PULL_DENIED', on('manifests', { status: 403, code: 'DENIED' })],
    ['REGISTRY_UNREACHABLE', on('manifests', { status: 429, code: 'TOOMANYREQUESTS' })],
    ['REGISTRY_UNREACHABLE', on('manifests', { status: 503 })],
    ['DIGEST_MISMATCH', on('blobs', 'other bytes')],
  ] as const)('%s: %#', async (code, fault) => {
    await forget();
    const reference = await faulty(fault);
    await expect(images.pull(reference, () => undefined, never)).rejects.toMatchObject({ code, exitCode: 6 });
    expect(await images.find(reference)).toBeNull();
  });

  test('a manifest that is not the one that was named', async () => {
    // One that Docker has never pulled: it keeps manifests for a while, and would not ask the registry.
    const name = `${repository}-never-pulled`;
    await docker(
      'image',
      'import',
      '--change',
      `LABEL name=${name}`,
      join(folder, 'layer.tar'),
      `127.0.0.1:5000/${name}:1`,
    );
    await docker('push', '--quiet', `127.0.0.1:5000/${name}:1`);
    const found = await images.find(`127.0.0.1:5000/${name}:1`);
    await images.remove(found?.id as string);
    published.push(found?.digests[0]?.slice('127.0.0.1:5000/'.length) as string);
    registry = await faultyRegistry();
    open.push(registry);
    registry.fault = on('manifests', 'other bytes');
    const reference = `${registry.host}/${name}@${found?.digests[0]?.split('@')[1]}`;
    await expect(images.pull(reference, () => undefined, never)).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      exitCode: 6,
    });
    expect(await images.find(reference)).toBeNull();
  });
});

describe('docker save and load', () => {
  test.each(['tag', 'id'])(
    'what was saved by its %s is loaded under the id that was told before',
    async (by) => {
      await docker('pull', '--quiet', `${pushed}:1.2.3`);
      const name = by === 'tag' ? `${pushed}:1.2.3` : config;
      const path = join(folder, 'images.tar');
      await docker('image', 'save', '--output', path, name);
      const bundle = join(folder, 'kg.tar');
      expectCode(await run('tar', ['-C', folder, '-cf', bundle, 'images.tar']));
      const bundled = await bundleSource(bundle).images();
      const { store } = await images.engine();
      const [reference = 'none'] = loadedIds(bundled, store).values();
      await forget();
      expect(await images.find(reference)).toBeNull();
      await images.load(await bundleSource(bundle).openImages(), () => undefined, never);
      expect(await images.find(reference)).toMatchObject({ id: reference, version: '1.2.3' });
      // The registry's digest is not kept: that is why a bundle's images are pinned by their ids.
      if (store === 'classic') expect(await images.find(`${pushed}@${digest}`)).toBeNull();
    },
  );

  test('a damaged archive, and a stream that breaks off, are errors and no waiting', async () => {
    const path = join(folder, 'damaged.tar');
    await writeFile(path, randomBytes(100_000));
    await expect(images.load(createReadStream(path), () => undefined, never)).rejects.toMatchObject({
      code: 'LOAD_FAILED',
    });
    const broken = new PassThrough();
    setTimeout(() => broken.destroy(new Error('the disk is gone')), 200);
    await expect(images.load(broken, () => undefined, never)).rejects.toThrow('the disk is gone');
  });
});

test('an image that a container uses stays, with its names', async () => {
  await docker('pull', '--quiet', `${pushed}:1.2.3`);
  const container = (await docker('create', `${pushed}:1.2.3`)).trim();
  try {
    expect(await images.remove(config)).toBe(false);
    expect(await images.find(`${pushed}:1.2.3`)).toMatchObject({ id: config });
  } finally {
    await docker('rm', container);
  }
  expect(await images.remove(config)).toBe(true);
});

test('what Docker is', async () => {
  expect(await images.engine()).toEqual({
    apiVersion: expect.stringMatching(/^1\.\d+$/),
    platform: expect.stringMatching(/^linux\/(amd64|arm64)$/),
    store: expect.stringMatching(/^(classic|containerd)$/),
    memoryBytes: expect.any(Number),
  });
  expect((await images.disk()).available).toBeGreaterThan(0);
});
