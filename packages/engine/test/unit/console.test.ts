import { readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { consoleServer } from '../../src/console/server.ts';
import { type ConsoleVersions, consoleVersions } from '../../src/console/versions.ts';
import { openSource } from '../../src/release/open-source.ts';
import { fetchChannels, fetchRelease, type ReleaseRoom } from '../../src/release/room.ts';
import { releaseStore } from '../../src/release/store.ts';
import type { RunContext } from '../../src/run/context.ts';
import { writePins } from '../../src/upgrade/pins.ts';
import { recordRelease } from '../../src/upgrade/record.ts';
import { newKey, publish, releaseInput, trust, writeFiles } from '../releases.ts';

const NOW = new Date('2026-11-23T12:00:00Z');
const key = newKey();
let folder: string;
let state: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kg-console-'));
  state = join(folder, '.operator');
  await mkdir(state, { mode: 0o700 });
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const validate = new Ajv2020({
  strict: true,
  allowUnionTypes: true,
  strictRequired: false,
  strictTypes: false,
}).compile(
  JSON.parse(
    readFileSync(new URL('../../../../schema/json/console-versions.schema.json', import.meta.url), 'utf8'),
  ),
);
/** What the console answers, which fits its schema. */
async function answer(): Promise<ConsoleVersions> {
  const versions = await consoleVersions(state, '0.1.0', () => NOW);
  expect(validate(JSON.parse(JSON.stringify(versions))) || validate.errors).toBe(true);
  return versions;
}

async function fetchList(): Promise<void> {
  const inputs = [releaseInput('1.0.0'), releaseInput('1.1.0', { migrations: 2, rollbackTo: '1.0.0' })];
  const published = join(folder, 'published');
  await writeFiles(published, publish(inputs, { keys: [key], channels: { stable: '1.1.0' } }));
  const room: ReleaseRoom = { keys: trust(key), store: releaseStore(state), now: () => NOW };
  const source = await openSource(published, { signal: new AbortController().signal } as never);
  const { channels } = await fetchChannels(room, source);
  await fetchRelease(room, source, channels, '1.1.0');
}

const record = (version: string) =>
  recordRelease({ kind: 'record-release', version }, {
    settings: { stateDirectory: state },
    clock: { date: () => NOW },
    journal: { read: async () => [] },
    observeDatabase: async () => ({
      reachable: true,
      schema: { head: '0001_first', applied: 1, pending: [] },
      config: null,
    }),
  } as unknown as RunContext);

describe('what the console knows', () => {
  test('of a new installation: nothing but its own version', async () => {
    expect(await answer()).toEqual({
      engine: '0.1.0',
      installed: null,
      available: { installed: '0.1.0', list: null, channels: {}, versions: [] },
      problem: null,
    });
  });

  test('what was recorded, and the releases with the path to each, by the keys that the list was checked with', async () => {
    await fetchList();
    await writePins(state, { version: '1.0.0', images: { api: 'kg-api@sha256:aaaa' } });
    await record('1.0.0');
    const { installed, available, problem } = await answer();
    expect(problem).toBeNull();
    expect(installed).toEqual({
      version: '1.0.0',
      previous: null,
      head: '0001_first',
      at: NOW.toISOString(),
      images: { api: 'kg-api@sha256:aaaa' },
    });
    expect(available?.channels).toEqual({ stable: '1.1.0' });
    expect(available?.versions.map((one) => [one.version, one.state, one.path, one.class])).toEqual([
      ['1.1.0', 'available', ['1.1.0'], 'rolling'],
      ['1.0.0', 'installed', null, null],
    ]);
  });

  test('all of it is readable for a user who is nobody; the state directory itself stays closed', async () => {
    await fetchList();
    await writePins(state, { version: '1.0.0', images: {} });
    await record('1.0.0');
    const mode = async (path: string) => ((await stat(join(state, path))).mode & 0o777).toString(8);
    for (const path of ['releases', 'releases/1.1.0'])
      expect([path, await mode(path)]).toEqual([path, '755']);
    for (const name of [
      'installed.json',
      'last-channels.json',
      'trusted-keys',
      '1.1.0/release.json',
      '1.1.0/release.json.minisig',
    ])
      expect([name, await mode(`releases/${name}`)]).toEqual([name, '644']);
    expect([await mode('.'), await mode('release.env')]).toEqual(['700', '600']);
  });

  test('what it can not read or believe it says, and goes on', async () => {
    await fetchList();
    await writeFile(join(state, 'releases/trusted-keys'), 'nothing');
    expect((await answer()).problem?.code).toBe('RELEASE_KEYS_INVALID');
    await writeFile(join(state, 'releases/installed.json'), '{"ver');
    expect((await answer()).problem?.code).toBe('STATE_DAMAGED');
    await rm(join(state, 'releases/installed.json'));
    await mkdir(join(state, 'releases/installed.json'));
    expect((await answer()).problem?.code).toBe('STATE_UNREADABLE');
    await chmod(folder, 0o700);
  });
});

describe('what the console answers', () => {
  let server: Server;
  let asked = 0;
  let reported: unknown[];
  let versions: () => Promise<unknown>;
  let base: string;
  beforeEach(async () => {
    asked = 0;
    reported = [];
    versions = async () => ({ asked: ++asked });
    server = consoleServer(
      () => versions(),
      (error) => reported.push(error),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  test('versions, health, and nothing else', async () => {
    const response = await fetch(`${base}/versions?x=1`);
    expect([response.status, await response.json()]).toEqual([200, { asked: 1 }]);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    });
    expect(await (await fetch(`${base}/health`)).json()).toEqual({ status: 'ok' });
    for (const path of ['/', '/versions/', '/metrics', '/..%2f.env', '//versions'])
      expect([path, (await fetch(base + path)).status]).toEqual([path, 404]);
  });

  test('only GET and HEAD', async () => {
    const head = await fetch(`${base}/versions`, { method: 'HEAD' });
    expect([head.status, await head.text(), Number(head.headers.get('content-length')) > 2]).toEqual([
      200,
      '',
      true,
    ]);
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const { status, headers } = await fetch(`${base}/versions`, { method });
      expect([method, status, headers.get('allow')]).toEqual([method, 405, 'GET, HEAD']);
    }
  });

  test('many questions at once are one look', async () => {
    await Promise.all(Array.from({ length: 20 }, () => fetch(`${base}/versions`)));
    expect(asked).toBe(1);
  });

  test('a bug of ours is told to the log alone, and the next question is asked anew', async () => {
    versions = async () => {
      throw new Error('secret detail');
    };
    const failed = await fetch(`${base}/versions`);
    expect([failed.status, await failed.text()]).toEqual([500, expect.not.stringContaining('secret')]);
    expect(reported).toHaveLength(1);
    versions = async () => ({ well: true });
    expect(await (await fetch(`${base}/versions`)).json()).toEqual({ well: true });
  });
});
