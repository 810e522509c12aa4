import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { askForReleases } from '../../src/cli/ask-for-releases.ts';
import { showAvailable } from '../../src/cli/show-available.ts';
import type { Observation } from '../../src/model/observation.ts';
import { installedVersion, reportAvailable } from '../../src/release/available.ts';
import { lastChannels, openRoom } from '../../src/release/room.ts';
import type { RunContext } from '../../src/run/context.ts';
import { emptyHost, runningPlatform } from '../observed.ts';
import { formatPublicKey, newKey, publish, releaseInput, writeFiles } from '../releases.ts';

const key = newKey();
const before = process.env.KG_RELEASE_KEYS;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kg-available-'));
  process.env.KG_RELEASE_KEYS = join(folder, 'keys');
  await writeFile(join(folder, 'keys'), `${formatPublicKey(key)}\n`);
});
afterAll(async () => {
  if (before === undefined) delete process.env.KG_RELEASE_KEYS;
  else process.env.KG_RELEASE_KEYS = before;
  await rm(folder, { recursive: true, force: true });
});

const inputs = [
  releaseInput('1.0.0'),
  releaseInput('1.1.0', { migrations: 2, rollbackTo: '1.0.0' }),
  releaseInput('1.2.0', { migrations: 2, rollbackTo: '1.0.0', requiredStop: true }),
  releaseInput('1.3.0', { migrations: 2, upgradeFrom: '1.2.0', rollbackTo: '1.2.0' }),
  releaseInput('2.0.0', { migrations: 4, upgradeFrom: '1.2.0' }),
  releaseInput('3.0.0-rc.1', { migrations: 4, upgradeFrom: '2.5.0' }),
];
const options = {
  keys: [key],
  channels: { stable: '2.0.0', beta: '3.0.0-rc.1' },
  yanked: [{ version: '1.3.0', reason: 'it lost data', replacedBy: null }],
};
/** The platform as if 1.1.0 ran. */
function running(version = '1.1.0'): Observation {
  const observed = runningPlatform();
  for (const { layer, containers } of observed.services)
    if (layer === 'application') for (const container of containers) container.version = version;
  return observed;
}
function context(state: string, now = '2026-11-23T12:00:00Z'): RunContext {
  const clock = { now: () => 0, date: () => new Date(now), sleep: async () => undefined };
  return {
    settings: { stateDirectory: join(folder, state) },
    engineVersion: '0.1.0',
    clock,
    signal: new AbortController().signal,
  } as unknown as RunContext;
}
const ask = (state: string, asked: Partial<Parameters<typeof askForReleases>[2]> = {}, now?: string) =>
  askForReleases(context(state, now), running(), {
    head: '0002_second',
    refresh: false,
    from: undefined,
    ...asked,
  });
async function source(name: string, files = publish(inputs, options)): Promise<string> {
  await writeFiles(join(folder, name), files);
  return join(folder, name);
}

describe('versions --available', () => {
  test('without a list says how to get one, and --refresh without a source asks for one', async () => {
    const { report } = await ask('new');
    expect(report).toEqual({ installed: '1.1.0', list: null, channels: {}, versions: [] });
    expect(showAvailable(report, new Date())).toMatch(/versions --from SOURCE/);
    await expect(ask('new', { refresh: true })).rejects.toMatchObject({
      code: 'SOURCE_MISSING',
      exitCode: 2,
    });
  });

  test('shows every release, the path to it, and what it costs; from then on without the source', async () => {
    const from = await source('all');
    const { report, warnings } = await ask('state', { from });
    expect(warnings).toEqual([]);
    expect(
      report.versions.map(({ version, state, path, class: kind }) => [version, state, path, kind]),
    ).toEqual([
      ['3.0.0-rc.1', 'unreachable', null, null],
      ['2.0.0', 'available', ['1.2.0', '2.0.0'], 'planned-downtime'],
      ['1.3.0', 'withdrawn', null, null],
      // Its release.json is not fetched: it is not the newest of a channel.
      ['1.2.0', 'available', ['1.2.0'], null],
      ['1.1.0', 'installed', null, null],
      ['1.0.0', 'rollback', null, null],
    ]);
    await rm(from, { recursive: true });
    expect((await ask('state')).report).toEqual(report);
    await expect(ask('state', { refresh: true })).rejects.toMatchObject({ code: 'SOURCE_UNREACHABLE' });

    const text = showAvailable(report, new Date('2026-11-25T12:00:00Z'));
    expect(text).toMatch(/list number 1 of 2026-11-01, good until 2027-02-01; fetched 2 days ago/);
    expect(text).toMatch(/^2\.0\.0 +stable +available +by 1\.2\.0, 2\.0\.0; planned downtime$/m);
    expect(text).toMatch(/^1\.2\.0 +- +available +by 1\.2\.0; required stop$/m);
    expect(text).toMatch(/^1\.3\.0 +- +withdrawn +it lost data$/m);
    expect(text).toMatch(/Next: .*upgrade --to 2\.0\.0 --dry-run$/);
  });

  test('without a database does not know what an upgrade costs; from what is no release there is no way', async () => {
    const from = await source('blind');
    const { report } = await ask('blind-state', { from, head: null });
    expect(report.versions[1]).toMatchObject({ version: '2.0.0', state: 'available', class: null });
    const room = openRoom(
      { stateDirectory: join(folder, 'blind-state') },
      () => new Date('2026-11-23T12:00:00Z'),
    );
    const local = await reportAvailable(room, await lastChannels(room), { installed: 'local', head: null });
    expect(new Set(local.versions.map(({ state }) => state))).toEqual(new Set(['unreachable', 'withdrawn']));
    expect(local.versions[1]?.reason).toMatch(/\(local\) is no release/);
  });

  test('an expired list is shown, and says that upgrades are blocked', async () => {
    const from = await source('late');
    const { report } = await ask('late-state', { from }, '2027-03-01T00:00:00Z');
    expect(report.list?.blocked).toMatchObject({ code: 'CHANNEL_EXPIRED' });
    const text = showAvailable(report, new Date());
    expect(text).toMatch(/Upgrades are blocked: the list of releases was good until 2027-02-01/);
    expect(text).not.toMatch(/Next:/);
  });

  test('a release.json that can not be had is a warning; one that does not run on the schema is no way back', async () => {
    const files = publish(inputs, options);
    files.delete('2.0.0/release.json');
    const { report, warnings } = await ask('gap', { from: await source('gaps', files) });
    expect(warnings).toEqual([expect.stringMatching(/^2\.0\.0: there is no 2\.0\.0\/release\.json in /)]);
    expect(report.versions.find(({ version }) => version === '2.0.0')).toMatchObject({
      state: 'available',
      class: null,
    });

    const narrow = publish(inputs, { ...options, channels: { stable: '1.0.0' } });
    const old = await ask('narrow', { from: await source('narrow-source', narrow), head: '0003_third' });
    expect(old.report.versions.at(-1)).toMatchObject({ version: '1.0.0', state: 'older' });
  });

  test('is what schema/json/versions.schema.json says', async () => {
    const url = new URL('../../../../schema/json/versions.schema.json', import.meta.url);
    const validate = new Ajv2020({ strict: true, allowUnionTypes: true, strictTypes: false }).compile(
      JSON.parse(readFileSync(url, 'utf8')),
    );
    const data = { engine: '0.1.0', node: '24.21.0', schema: null, services: [], installed: null };
    const from = await source('schema');
    for (const asked of [{}, { from }]) {
      const { report } = await ask('schema-state', asked, '2027-03-01T00:00:00Z');
      expect([validate({ ...data, available: report }), validate.errors]).toEqual([true, null]);
    }
    expect(validate(data)).toBe(true);
    expect(validate({ ...data, available: {} })).toBe(false);
    expect(validate({ ...data, more: 1 })).toBe(false);
  });
});

test('installed is what the application runs, if all of it says the same release; otherwise the engine', () => {
  expect(installedVersion(running('1.1.0'), '0.1.0')).toBe('1.1.0');
  expect(installedVersion(running('dev'), '0.1.0')).toBe('0.1.0');
  expect(installedVersion(emptyHost(), '0.1.0')).toBe('0.1.0');
  const mixed = running('1.1.0');
  const container = mixed.services.find(({ name }) => name === 'web')?.containers[0];
  if (container) container.version = '1.2.0';
  expect(container).toBeDefined();
  expect(installedVersion(mixed, '0.1.0')).toBe('0.1.0');
});
