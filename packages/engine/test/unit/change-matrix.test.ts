import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { nextStep, runsOf, unfinishedChange } from '../../src/history/runs.ts';
import { type Plan, STEP_KINDS, type Step, type StepKind } from '../../src/model/plan.ts';
import { planUpgrade, type UpgradeHop } from '../../src/plan/upgrade.ts';
import { parseRelease, type ReleaseManifest } from '../../src/release/manifest.ts';
import { classify } from '../../src/release/schema.ts';
import { observe } from '../../src/run/observe.ts';
import { beginChange, continueChange } from '../../src/upgrade/begin.ts';
import { findEarlier } from '../../src/upgrade/earlier.ts';
import type { ReleasePins } from '../../src/upgrade/pins.ts';
import { planBack } from '../../src/upgrade/way-back.ts';
import { FakePlatform, type Stop } from '../fake-platform.ts';
import { formatPublicKey, newKey, publish, releaseInput, writeFiles } from '../releases.ts';

/*
 * The crash matrix: every step of an upgrade over two releases, one with an expand and one with a contract migration, is stopped before,
 * in the middle and after, by a kill, an error or a hang; then the upgrade is gone on with, or rolled back. Steps are fakes, the rest is not.
 */

const VERSIONS = ['1.0.0', '1.1.0', '1.2.0'];
const pinsOf = (version: string): ReleasePins => ({
  version,
  images: {
    ...Object.fromEntries(['operator', 'api', 'web'].map((name) => [name, `${name}@sha256:${version}`])),
    gateway: 'gateway@sha256:same',
  },
});
const [FIRST, SECOND, THIRD] = VERSIONS.map(pinsOf) as [ReleasePins, ReleasePins, ReleasePins];
const key = newKey();
let files: Map<string, Buffer>;
let manifests: Map<string, ReleaseManifest>;

beforeAll(async () => {
  const keys = join(await mkdtemp(join(tmpdir(), 'kg-matrix-')), 'keys.pub');
  await writeFile(keys, `untrusted comment: a test\n${formatPublicKey(key)}\n`);
  process.env.KG_RELEASE_KEYS = keys;
  // 1.0.0 knows 0001, 1.1.0 adds an expand migration, 1.2.0 a contract one and one after it.
  const inputs = VERSIONS.map((version, index) =>
    releaseInput(version, { migrations: [1, 2, 4][index] as number }),
  );
  files = publish(inputs, { keys: [key] });
  manifests = new Map(
    VERSIONS.map((version) => [version, parseRelease(files.get(`${version}/release.json`) as Buffer)]),
  );
});

async function newPlatform(): Promise<FakePlatform> {
  const platform = await FakePlatform.create(manifests, FIRST);
  await writeFiles(join(platform.state, 'releases'), files);
  return platform;
}

function hopsFrom(platform: FakePlatform, from: string): UpgradeHop[] {
  let { head } = platform.live;
  return VERSIONS.slice(VERSIONS.indexOf(from) + 1).map((version) => {
    const release = manifests.get(version) as ReleaseManifest;
    const { pending, contract } = classify(release, head);
    head = release.schema.head;
    const { healthGate } = release;
    return {
      version,
      images: pinsOf(version).images,
      pending,
      contract,
      healthGate,
      databaseCopy: `kg_before_20261123t120000_${version}`,
    };
  });
}

let backups = 0;

async function upgrade(platform: FakePlatform, from = '1.0.0'): Promise<{ id: string; plan: Plan }> {
  const context = platform.context();
  const hops = hopsFrom(platform, from);
  const plan = planUpgrade(await observe(context), {
    ...{ from: pinsOf(from), hops, bundle: null },
    backup: { id: `b${backups++}`, copyTo: ['elsewhere'] },
    hooks: ['pre-upgrade', 'post-upgrade', 'pre-migrate', 'post-migrate', 'pre-backup', 'post-backup'],
  });
  const path = hops.map(({ version, images }) => ({ version, images }));
  const id = await beginChange(context, {
    command: 'upgrade',
    plan,
    change: {
      ...{ kind: 'upgrade', from: pinsOf(from), path, head: platform.live.head, undoes: null, backup: null },
      environment: {},
    },
  });
  return { id, plan };
}

async function open(platform: FakePlatform) {
  return unfinishedChange(runsOf(await platform.context().journal.read()));
}

/** What a person does who types `upgrade` once more. */
async function again(platform: FakePlatform): Promise<void> {
  const run = await open(platform);
  if (run) await continueChange(platform.context(), run);
  else await upgrade(platform, (await installed(platform)).version as string);
  await platform.quiet();
}

async function earlierThan(platform: FakePlatform) {
  const context = platform.context();
  const runs = runsOf(await context.journal.read());
  return findEarlier(
    context,
    runs,
    {},
    () => undefined,
    async () => platform.kept,
  );
}

async function rollback(platform: FakePlatform): Promise<ReleasePins> {
  const context = platform.context();
  const run = await open(platform);
  const earlier = await earlierThan(platform);
  const { plan, change } = await planBack(context, earlier, () => undefined);
  await beginChange(context, { command: 'rollback', plan, change, instead: run });
  await platform.quiet();
  return earlier.to;
}

/** The release of the last run that came to its end. */
async function installed(platform: FakePlatform): Promise<ReleasePins> {
  const runs = runsOf(await platform.context().journal.read());
  const done = runs.findLast(({ outcome, change }) => outcome === 'finished' && change !== null);
  return done?.change?.path.at(-1) ?? FIRST;
}

async function stopAt(stop: Stop): Promise<FakePlatform> {
  const platform = await newPlatform();
  const hung = new Promise<void>((resolve) => {
    platform.hangs = resolve;
  });
  platform.armed = stop;
  await upgrade(platform);
  await Promise.race([platform.quiet(), hung]);
  platform.kill(); // a hang is ended by a person
  return platform;
}

/** Several at once: mostly they wait for the disk. */
async function each<T>(items: readonly T[], check: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const work = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await check(item);
  };
  await Promise.all(Array.from({ length: 12 }, work));
}

/** An error before the last step of a kind. */
function failure({ steps }: Plan, kind: StepKind): Stop {
  return { index: steps.findLastIndex((step) => step.kind === kind), when: 'before', how: 'error' };
}

async function undoOf(stop: Stop): Promise<Step[]> {
  const platform = await stopAt(stop);
  const runs = runsOf(await platform.context().journal.read());
  return runs.at(-1)?.steps.map(({ step }) => step) ?? [];
}

const stops: Stop[] = [];
const whens: Stop['when'][] = ['before', 'during', 'after'];
const hows: Stop['how'][] = ['kill', 'error', 'hang'];

describe('an upgrade over two releases', () => {
  let plan: Plan;

  test('without a failure does what its plan says, and nothing else', async () => {
    const platform = await newPlatform();
    const begun = await upgrade(platform);
    await platform.quiet();
    plan = begun.plan;
    expect(await platform.unlike(THIRD)).toEqual([]);
    const run = runsOf(await platform.context().journal.read()).find(({ id }) => id === begun.id);
    expect(run?.outcome).toBe('finished');
    expect(run?.steps.map(({ step }) => step)).toEqual(plan.steps);
    expect(run?.steps.every(({ finishedAt }) => finishedAt !== null)).toBe(true);
    expect(platform.migrated).toEqual(['0002_second', '0003_third', '0004_fourth']);
    for (let index = 0; index < plan.steps.length; index++)
      for (const when of whens) for (const how of hows) stops.push({ index, when, how });
  });

  test('every kind of step that upgrades and rollbacks have is stopped here', async () => {
    const platform = await newPlatform();
    await upgrade(platform);
    await platform.quiet();
    const context = platform.context();
    const earlier = await earlierThan(platform);
    const back = await planBack(context, earlier, () => undefined);
    const undone = await undoOf(failure(plan, 'migrate'));
    const stopped = new Set([...plan.steps, ...back.plan.steps, ...undone].map(({ kind }) => kind));
    // Those of start, backup and restore have tests of their own (run, backup-crash); load-backup is walked by rollback --backup.
    const others = [
      'check-encryption-key',
      'configure-object-store',
      'require-configuration',
      'probe',
      'prune-backups',
      'convert-dump',
      'load-backup',
      'restore-objects',
      'restore-configuration',
    ];
    expect(STEP_KINDS.filter((kind) => !stopped.has(kind))).toEqual(others);
  });

  test('stopped anywhere, by a kill or a hang, is gone on with to new and healthy', async () => {
    await each(
      stops.filter(({ how }) => how !== 'error'),
      async (stop) => {
        const platform = await stopAt(stop);
        await again(platform);
        expect([stop, plan.steps[stop.index]?.kind, await platform.unlike(THIRD)]).toEqual([
          stop,
          plan.steps[stop.index]?.kind,
          [],
        ]);
        expect(platform.migrated).toEqual(['0002_second', '0003_third', '0004_fourth']);
        expect(await open(platform)).toBeNull();
      },
    );
  });

  test('stopped anywhere, by a kill or a hang, is rolled back to healthy', async () => {
    await each(
      stops.filter(({ how }) => how !== 'error'),
      async (stop) => {
        const platform = await stopAt(stop);
        const to = await rollback(platform);
        expect([stop, plan.steps[stop.index]?.kind, to.version, await platform.unlike(to)]).toEqual([
          stop,
          plan.steps[stop.index]?.kind,
          to.version,
          [],
        ]);
        expect(await open(platform)).toBeNull();
      },
    );
  });

  test('an error anywhere is undone by itself to old and healthy, and the next upgrade gets there', async () => {
    await each(
      stops.filter(({ how }) => how === 'error'),
      async (stop) => {
        const platform = await stopAt(stop);
        const runs = runsOf(await platform.context().journal.read());
        const failed = runs.find(({ outcome }) => outcome === 'failed');
        expect([stop, failed?.error?.code]).toEqual([stop, 'FAILPOINT']);
        const now =
          failed && nextStep(failed) > plan.steps.findLastIndex(({ kind }) => kind === 'record-release')
            ? THIRD
            : await installed(platform);
        expect([stop, plan.steps[stop.index]?.kind, now.version, await platform.unlike(now)]).toEqual([
          stop,
          plan.steps[stop.index]?.kind,
          now.version,
          [],
        ]);
        if (now.version === THIRD.version) return;
        await upgrade(platform, now.version as string);
        await platform.quiet();
        expect([stop, await platform.unlike(THIRD)]).toEqual([stop, []]);
      },
    );
  });

  test('a rollback that is stopped is gone on with, too', async () => {
    const whole = await newPlatform();
    await upgrade(whole);
    await whole.quiet();
    const context = whole.context();
    const earlier = await earlierThan(whole);
    const { steps } = (await planBack(context, earlier, () => undefined)).plan;
    const points = steps.flatMap((_step, index) => whens.map((when) => ({ index, when })));
    await each(points, async ({ index, when }) => {
      const platform = await newPlatform();
      await upgrade(platform);
      await platform.quiet();
      platform.armed = { index, when, how: 'kill' };
      await rollback(platform);
      const run = await open(platform);
      if (run) await continueChange(platform.context(), run);
      await platform.quiet();
      expect([index, when, steps[index]?.kind, await platform.unlike(SECOND)]).toEqual([
        index,
        when,
        steps[index]?.kind,
        [],
      ]);
    });
  });

  test('the undoing of an upgrade is gone on with, and leaves no copy of the database', async () => {
    const first = failure(plan, 'migrate');
    const steps = await undoOf(first);
    const points = steps.flatMap((_step, index) => whens.map((when) => ({ index, when })));
    await each(points, async ({ index, when }) => {
      const platform = await stopAt({ ...first, next: { index, when, how: 'kill', inUndo: true } });
      const run = await open(platform);
      if (run) await continueChange(platform.context(), run);
      await platform.quiet();
      const found = [index, when, steps[index]?.kind];
      expect([...found, await platform.unlike(SECOND), platform.kept]).toEqual([...found, [], []]);
    });
  });

  test('a sick application is undone: the copy beside it by the images, the one after a contract migration with its data', async () => {
    for (const [release, to] of [
      [SECOND, FIRST],
      [THIRD, SECOND],
    ] as const) {
      const platform = await newPlatform();
      platform.sick.add(release.images.api as string);
      await upgrade(platform);
      await platform.quiet();
      expect(await platform.unlike(to)).toEqual([]);
      expect((await installed(platform)).version).toBe(to.version);
    }
  });
});
