import { copyFile, mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { docker, dockerLines, expectCode, run } from './command.ts';
import { type FaultyRegistry, faultyRegistry } from './faulty-registry.ts';
import { ADMIN_PASSWORD, Installation } from './installation.ts';
import { REGISTRY } from './release-images.ts';
import { Publisher } from './releases.ts';

jest.setTimeout(900_000);

/** An upgrade whose images can't be had, are not what they should be, or come in a file. */
let publisher: Publisher;
let registry: FaultyRegistry;
let kg: Installation;
const CHANGED = ['operator', 'api', 'web'];
const names: Record<string, { reference: string; config: string }> = {};

beforeAll(async () => {
  registry = await faultyRegistry(REGISTRY);
  publisher = await Publisher.create();
  await publisher.add('1.0.0');
  await publisher.add('1.0.1', {
    policy: { rollbackTo: '1.0.0' },
    change(images) {
      for (const [service, image] of Object.entries(images)) {
        image.name = image.name.replace(REGISTRY, registry.host);
        const [platform] = Object.values(image.platforms);
        names[service] = {
          reference: `${image.name}@${platform?.digest}`,
          config: platform?.config as string,
        };
      }
    },
  });
  await publisher.issue(['--set', 'stable=1.0.1']);
  kg = await Installation.standalone(publisher);
  await kg.ok(['up', '--yes', '--ai-provider', 'local', '--embedding', 'local'], {
    env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD },
  });
});
afterAll(async () => {
  await kg?.destroy();
  for (const service of CHANGED)
    await run('docker', ['image', 'rm', '--force', names[service]?.config ?? '']);
  await publisher.remove();
  await registry.close();
});

/** Nothing that runs is another one than before, and it serves. */
async function changesNothing(act: () => Promise<void>): Promise<void> {
  const before = await kg.containerIds();
  await act();
  expect(await kg.containerIds()).toEqual(before);
  expect(await kg.logIn()).toMatchObject({ status: 200 });
}
const isHere = async (reference: string) => (await run('docker', ['image', 'inspect', reference])).code === 0;

test('a pinned service is changed by hand, with the names of this installation', async () => {
  await changesNothing(async () => {
    const { code, document } = await kg.json<{
      pinned: { image: string; files: string[]; volumes: string[] };
    }>(['update', 'postgres']);
    expect(code).toBe(0);
    expect(document.data.pinned).toMatchObject({
      image: `${publisher.images.prefix}/kg-operator-postgres:1.0.0`,
      files: ['docker-compose.yml', 'docker-compose.ghcr.yml', 'docker-compose.override.yml'],
      volumes: [`${kg.prefix}_postgres-data`],
    });
  });
  const { code, document } = await kg.json(['update', 'postgers']);
  expect([code, document.error]).toEqual([2, expect.objectContaining({ hint: 'did you mean postgres?' })]);
});

test('an image that the registry does not have is found before anything is done', async () => {
  registry.fault = ({ path }) =>
    path.includes('kg-operator-api/manifests/') ? { status: 404, code: 'MANIFEST_UNKNOWN' } : null;
  await changesNothing(async () => {
    const { code, document } = await kg.json(['upgrade']);
    expect([code, document.error.code]).toEqual([3, 'PREFLIGHT_FAILED']);
    expect(document.error.details).toEqual([
      expect.stringContaining(`IMAGE_NOT_FOUND: the registry has no ${names.api?.reference}`),
    ]);
  });
  for (const service of CHANGED) expect(await isHere(names[service]?.reference as string)).toBe(false);
});

test('other bytes than the release names are not taken', async () => {
  registry.fault = ({ path }) => (path.includes(`/blobs/${names.web?.config}`) ? 'other bytes' : null);
  await changesNothing(async () => {
    const { code, document } = await kg.json(['update', 'web']);
    expect([code, document.error.code]).toEqual([6, 'DIGEST_MISMATCH']);
  });
  expect(await isHere(names.web?.reference as string)).toBe(false);
});

test('update brings the image of one service, and changes nothing that runs', async () => {
  registry.fault = () => null;
  await changesNothing(async () => {
    const { code, document } = await kg.json<{ path: string[]; images: object[] }>(['update', 'web']);
    expect(code).toBe(0);
    expect(document.data).toMatchObject({
      path: ['1.0.1'],
      images: [{ service: 'web', version: '1.0.1', image: names.web?.reference, here: false }],
    });
  });
  expect(await isHere(names.web?.reference as string)).toBe(true);
  expect(await isHere(names.api?.reference as string)).toBe(false);
});

test('a registry that dies in the middle: tried again, given up, and the old version serves', async () => {
  const asked = new Set<string>();
  registry.fault = ({ path }) => {
    if (!path.includes('/blobs/')) return null;
    // The first time it is only asked for, by the checks beforehand.
    if (asked.size === asked.add(path).size) void registry.close();
    return null;
  };
  await changesNothing(async () => {
    const result = await kg.run(['upgrade', '--yes', '--no-backup']);
    expectCode(result, 6);
    expect(result.stderr).toMatch(/try 5 of 5/);
    expect(result.stderr).toContain('nothing was stopped');
  });
  const { document } = await kg.json(['upgrade']);
  expect(document.error.details).toEqual([expect.stringContaining('REGISTRY_UNREACHABLE')]);
});

describe('without a registry', () => {
  const tagOf = (service: string) =>
    `${publisher.images.prefix}/kg-operator-${service}:${CHANGED.includes(service) ? '1.0.1' : '1.0.0'}`;
  const bundle = () => kg.path('kg-1.0.1.tar');

  beforeAll(async () => {
    // The registry of the release is off by now; who makes the bundle has another.
    const tags = [...CHANGED, 'gateway'].map(tagOf);
    for (const tag of tags) await docker('pull', '--quiet', tag);
    await docker('image', 'save', '--output', kg.path('images.tar'), ...tags);
    for (const service of CHANGED) await docker('image', 'rm', '--force', names[service]?.config as string);
    const documents = ['channels.json', 'channels.json.minisig', '1.0.0', '1.0.1'];
    const parts = ['-C', publisher.folder, ...documents, '-C', kg.root, 'images.tar'];
    expectCode(await run('tar', ['-cf', bundle(), ...parts]));
    await rm(kg.path('images.tar'));
  });

  test('a bundle that lacks images, or was cut off, changes nothing', async () => {
    const [without, cut] = [kg.path('without.tar'), kg.path('cut.tar')];
    expectCode(
      await run('tar', [
        '-C',
        publisher.folder,
        '-cf',
        without,
        'channels.json',
        'channels.json.minisig',
        '1.0.0',
        '1.0.1',
      ]),
    );
    await copyFile(bundle(), cut);
    await truncate(cut, 50_000_000);
    await changesNothing(async () => {
      for (const [file, expected] of [
        [without, 'BUNDLE_INCOMPLETE'],
        [cut, 'BUNDLE_INVALID'],
      ] as const) {
        const { code, document } = await kg.json(['upgrade', '--no-backup', '--from', file]);
        expect([code, document.error.code]).toEqual([3, expected]);
      }
    });
    await Promise.all([without, cut].map((file) => rm(file)));
  });

  test('a hook before it that fails stops it', async () => {
    await mkdir(kg.path('hooks'));
    await writeFile(kg.path('hooks/pre-upgrade'), '#!/bin/sh\necho "not on a Monday"\nexit 1\n', {
      mode: 0o755,
    });
    await changesNothing(async () => {
      const { code, document } = await kg.json(['upgrade', '--no-backup', '--from', bundle()]);
      expect([code, document.error.code]).toEqual([3, 'HOOK_FAILED']);
      expect(document.error.message).toBe('hooks/pre-upgrade failed with exit code 1: not on a Monday');
    });
    const note = '#!/bin/sh\necho "$KG_HOOK from $KG_FROM_VERSION to $KG_TO_VERSION" >>hooks.log\n';
    for (const name of ['pre-upgrade', 'post-upgrade', 'pre-start'])
      await writeFile(kg.path('hooks', name), note, { mode: 0o755 });
  });

  test('upgrade --from BUNDLE runs exactly the images that the signed release names', async () => {
    const before = await kg.containerIds();
    const { code, document } = await kg.json(['upgrade', '--no-backup', '--from', bundle()]);
    expect(document.error ?? null).toBeNull();
    expect(code).toBe(0);
    const containers = await kg.containers();
    for (const service of CHANGED) expect(containers[service]?.Image).toBe(names[service]?.config);
    // The same image as before keeps its name, and its container.
    expect(containers.gateway?.Id).toBe(before.gateway);
    expect(await readFile(kg.path('hooks.log'), 'utf8')).toBe(
      'pre-upgrade from 1.0.0 to 1.0.1\npost-upgrade from 1.0.0 to 1.0.1\n',
    );
    expect(await kg.logIn()).toMatchObject({ status: 200 });
  });

  test('start makes it so again, whatever a tag says', async () => {
    const before = await kg.containerIds();
    await docker('pull', '--quiet', `${publisher.images.prefix}/kg-operator-api:1.0.0`);
    await docker('tag', `${publisher.images.prefix}/kg-operator-api:1.0.0`, tagOf('api'));
    try {
      await kg.ok(['start']);
      expect(await kg.containerIds()).toEqual(before);
      expect(await readFile(kg.path('hooks.log'), 'utf8')).toMatch(/^pre-start from {2}to $/m);
      await docker('rm', '--force', before.api as string);
      await kg.ok(['start']);
      expect((await kg.containers()).api?.Image).toBe(names.api?.config);
    } finally {
      await docker('image', 'rm', tagOf('api'));
    }
  });

  test('the same again has nothing to do, and no runner is left', async () => {
    expect((await kg.ok(['upgrade', '--from', bundle()])).stdout).toContain('1.0.1 is installed');
    expect(await dockerLines('ps', '-aq', '--filter', `name=^${kg.prefix}-runner`)).toEqual([]);
  });
});
