import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import tar from 'tar-stream';
import { registryError, stalled } from '../../src/adapters/pull-errors.ts';
import { type PullEvent, pullProgress } from '../../src/adapters/pull-progress.ts';
import type { RunContext } from '../../src/run/context.ts';
import { pullImages } from '../../src/upgrade/images.ts';
import { digest, fakeImages, image } from '../fake-images.ts';

const REFERENCE = `registry.example/kg-operator-api@${digest('a')}`;
const WEB = `registry.example/kg-operator-web@${digest('b')}`;
const GATEWAY = `registry.example/kg-operator-gateway@${digest('c')}`;

describe('what Docker says of a pull', () => {
  // As Docker 26.1 said it to a registry with faults, with its own image store and with containerd's.
  test.each([
    ['IMAGE_NOT_FOUND', 404, `manifest for ${REFERENCE} not found: manifest unknown: manifest unknown`],
    [
      'IMAGE_NOT_FOUND',
      404,
      'repository 127.0.0.1:40209/kg not found: name unknown: repository name not known',
    ],
    ['IMAGE_NOT_FOUND', 404, `failed to resolve reference "${REFERENCE}": ${REFERENCE}: not found`],
    [
      'IMAGE_NOT_FOUND',
      undefined,
      'error pulling image configuration: download failed after attempts=1: unknown blob',
    ],
    ['IMAGE_NOT_FOUND', undefined, 'no matching manifest for linux/arm64/v8 in the manifest list entries'],
    ['PULL_DENIED', 500, 'unauthorized: authentication required'],
    [
      'PULL_DENIED',
      404,
      "pull access denied for registry.example/kg, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
    ],
    [
      'PULL_DENIED',
      500,
      `failed to resolve reference "${REFERENCE}": unexpected status from HEAD request to https://registry.example/v2/kg/manifests/x: 401 Unauthorized`,
    ],
    ['REGISTRY_UNREACHABLE', 500, 'toomanyrequests: You have reached your pull rate limit'],
    [
      'REGISTRY_UNREACHABLE',
      500,
      `failed to resolve reference "${REFERENCE}": unexpected status from HEAD request to https://registry.example/v2/kg/manifests/x: 429 Too Many Requests`,
    ],
    ['REGISTRY_UNREACHABLE', 500, 'received unexpected HTTP status: 503 Service Unavailable'],
    [
      'REGISTRY_UNREACHABLE',
      500,
      'Get "https://registry.example/v2/": dial tcp: lookup registry.example on 10.0.0.1:53: no such host',
    ],
    [
      'REGISTRY_UNREACHABLE',
      500,
      'Get "http://127.0.0.1:46291/v2/": net/http: request canceled (Client.Timeout exceeded while awaiting headers)',
    ],
    [
      'REGISTRY_UNREACHABLE',
      500,
      'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
    ],
    ['REGISTRY_UNREACHABLE', undefined, 'unexpected EOF'],
    ['DISK_FULL', undefined, 'failed to register layer: write /usr/bin/node: no space left on device'],
    ['DIGEST_MISMATCH', undefined, `manifest verification failed for digest ${digest('a')}`],
    ['DIGEST_MISMATCH', undefined, `filesystem layer verification failed for digest ${digest('a')}`],
    [
      'DIGEST_MISMATCH',
      undefined,
      `failed commit on ref "layer-${digest('a')}": commit failed: unexpected commit digest ${digest('b')}, expected ${digest('a')}: failed precondition`,
    ],
    ['PULL_FAILED', 500, "invalid character '<' looking for beginning of value"],
  ])('%s', (code, statusCode, said) => {
    const thrown = Object.assign(
      new Error(statusCode ? `(HTTP code ${statusCode}) server error - ${said} ` : said),
      statusCode ? { statusCode } : {},
    );
    const error = registryError(REFERENCE, thrown);
    expect(error).toMatchObject({ code, exitCode: code === 'DISK_FULL' ? 3 : 6 });
    expect(error.message).toContain(said);
    expect(error.message).not.toContain('HTTP code');
    expect(error.hint).toContain('nothing was stopped'.slice(0, code === 'PULL_DENIED' ? 0 : undefined));
  });

  test('a private registry: the hint has both commands, and the reason why they help', () => {
    expect(registryError(REFERENCE, new Error('unauthorized: authentication required')).hint).toBe(
      `on the host: docker login registry.example && docker pull ${REFERENCE}; then run the same command again: an image that is here is not pulled`,
    );
  });

  test('Docker itself is not there', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED /var/run/docker.sock'), {
      code: 'ECONNREFUSED',
    });
    expect(registryError(REFERENCE, refused)).toMatchObject({ code: 'DOCKER_UNREACHABLE', exitCode: 6 });
  });
});

describe('progress', () => {
  test('adds up layers, tells at most once a second, and the size only when it is known', () => {
    const lines: string[] = [];
    let now = 0;
    const progress = pullProgress(
      (line) => lines.push(line),
      () => now,
    );
    const at = (seconds: number, event: PullEvent) => {
      now = seconds * 1000;
      progress.add(event);
    };
    const loading = (id: string, current: number, total: number) => ({
      id,
      status: 'Downloading',
      progressDetail: { current: current * 1e6, total: total * 1e6 },
    });
    at(0, { id: '1.0.0', status: 'Pulling from kg-operator-api' });
    at(0, { id: 'a', status: 'Pulling fs layer', progressDetail: {} });
    at(0, { id: 'b', status: 'Waiting', progressDetail: {} });
    at(2, loading('a', 20, 60));
    at(2.5, loading('a', 25, 60));
    at(4, loading('b', 10, 40));
    at(6, { id: 'a', status: 'Download complete' });
    at(8, loading('b', 40, 40));
    at(9, { id: 'b', status: 'Download complete' });
    at(10, { id: 'a', status: 'Extracting', progressDetail: { current: 1, total: 60e6 } });
    expect(progress.isUnpacking()).toBe(true);
    expect(lines).toEqual([
      '20 MB, 10 MB/s',
      '35 MB of 100 MB, 8.8 MB/s',
      '70 MB of 100 MB, 12 MB/s',
      '100 MB of 100 MB, 13 MB/s',
      'unpacking',
    ]);
  });
});

describe('pull-images', () => {
  const registry = [
    image(digest('1'), { digests: [REFERENCE] }),
    image(digest('2'), { digests: [WEB] }),
    image(digest('3'), { digests: [GATEWAY] }),
  ];
  const unreachable = () => stalled(REFERENCE, 60);

  function world(images = fakeImages({ registry })) {
    const abort = new AbortController();
    const lines: string[] = [];
    const pauses: number[] = [];
    let now = 0;
    const clock = {
      now: () => now,
      sleep: async (ms: number) => {
        now += ms;
        pauses.push(ms);
      },
    };
    const context = { images, clock, signal: abort.signal } as unknown as RunContext;
    const pull = (references: string[], bundle: string | null = null) =>
      pullImages({ kind: 'pull-images', images: references, bundle }, context, (line) => lines.push(line));
    return { images, context, abort, lines, pull, waited: () => pauses.reduce((a, b) => a + b, 0) };
  }

  test('what is here is not pulled; the rest two at once; again is nothing', async () => {
    const { images, pull, lines } = world(fakeImages({ registry, here: [registry[0] as never] }));
    await pull([REFERENCE, WEB, GATEWAY, WEB]);
    expect(images.pulls.sort()).toEqual([GATEWAY, WEB].sort());
    expect(images.mostAtOnce).toBe(2);
    expect(lines).toEqual(
      expect.arrayContaining(['kg-operator-web: 45 of 90 MB, 9 MB/s', '2 images pulled']),
    );
    await pull([REFERENCE, WEB, GATEWAY]);
    expect(images.pulls).toHaveLength(2);
    expect(lines.at(-1)).toBe('all 3 are here');
  });

  test('a registry that does not answer is asked five times within about a minute, each told', async () => {
    const { images, pull, lines, waited } = world();
    images.failures = [unreachable(), unreachable(), unreachable(), unreachable()];
    await pull([REFERENCE]);
    expect(images.pulls).toHaveLength(5);
    expect(lines.filter((line) => /try [2-5] of 5 in \d+ s/.test(line))).toHaveLength(4);
    expect(waited()).toBeGreaterThanOrEqual(45_000);
    expect(waited()).toBeLessThanOrEqual(68_000);

    const other = world();
    other.images.failures = Array.from({ length: 5 }, unreachable);
    await expect(other.pull([REFERENCE])).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
      exitCode: 6,
    });
    expect(other.images.pulls).toHaveLength(5);
  });

  test('what another try cannot change is not tried again, and ends the others', async () => {
    const { images, pull } = world();
    images.failures = [registryError(REFERENCE, new Error('manifest unknown')), null];
    await expect(pull([REFERENCE, WEB, GATEWAY])).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' });
    expect(images.pulls).not.toContain(GATEWAY);
  });

  test('Docker is looked at again afterwards: what it says is not believed', async () => {
    const { pull } = world(fakeImages({ registry: [] }));
    await expect(pull([REFERENCE])).rejects.toMatchObject({ code: 'IMAGES_MISSING', details: [REFERENCE] });
  });

  test('an interrupt ends a pause', async () => {
    const { images, pull, abort, context } = world();
    images.failures = [unreachable()];
    const { sleep } = context.clock;
    context.clock.sleep = async (ms) => {
      abort.abort();
      await sleep(ms);
    };
    await expect(pull([REFERENCE])).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(images.pulls).toHaveLength(1);
  });

  describe('from a bundle', () => {
    let folder: string;
    let bundle: string;
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'kg-images-'));
      bundle = join(folder, 'kg.tar');
      const pack = tar.pack();
      pack.entry({ name: 'images.tar' }, Buffer.alloc(100_000));
      pack.finalize();
      await writeFile(bundle, pack as AsyncIterable<Uint8Array>);
    });
    afterAll(() => rm(folder, { recursive: true, force: true }));

    test('the registry is not asked; only the ids that the release names count, whatever the tags say', async () => {
      const { images, pull, lines } = world();
      images.archive = [
        image(digest('1')),
        image(digest('9'), { tags: ['registry.example/kg-operator-web:1.0.0'] }),
      ];
      await pull([digest('1')], bundle);
      expect(images.pulls).toEqual([]);
      expect(lines.at(-1)).toBe('1 image loaded');
      await expect(pull([digest('2')], bundle)).rejects.toMatchObject({
        code: 'IMAGES_MISSING',
        details: [digest('2')],
      });
    });

    test('what is here need not be in it', async () => {
      const { pull } = world(fakeImages({ here: [image(digest('1'))] }));
      await pull([digest('1')], join(folder, 'not-there.tar'));
      await expect(pull([digest('2')], join(folder, 'not-there.tar'))).rejects.toThrow(/ENOENT/);
    });
  });
});
