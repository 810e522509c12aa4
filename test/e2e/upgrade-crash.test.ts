import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Plan, StepKind } from '../../packages/engine/src/model/plan.ts';
import { IMPACT } from '../../packages/engine/src/upgrade/impact.ts';
import {
  atStep,
  dataDigests,
  expectNothingLeft,
  expectServing,
  killRunner,
  lastChange,
  noRunner,
} from './changes.ts';
import { ADMIN_PASSWORD, Installation } from './installation.ts';
import { randomNumbers } from './random.ts';
import { LEAVES_IT_CUT_OFF } from './release-images.ts';
import { exampleMigrations, Publisher, type ReleaseOptions } from './releases.ts';

/*
 * The crash matrix on real containers; test/unit/change-matrix.test.ts has all of it on fakes. Of two upgrades, a rolling one and one with
 * planned downtime, every step that changes what runs is killed once, and a sample of the other cells is tried. KG_TEST_SEED chooses
 * moments and sample; KG_TEST_FULL=1 tries every cell.
 */
const FULL = process.env.KG_TEST_FULL === '1';
const SAMPLE = 3;
jest.setTimeout(400_000);

const seed = Number(process.env.KG_TEST_SEED ?? 5);
const random = randomNumbers(seed);
const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;

const WHEN = ['before', 'during', 'after'] as const;
const BACK_TO = '1.0.0';
/** To which version, and the steps of its plan in their order. */
const UPGRADES: Record<string, StepKind[]> = {
  '1.0.1': [
    ...(['pull-images', 'write-backup', 'verify-backup', 'hand-over', 'replace-operator'] as const),
    ...(['pin-images', 'roll-service', 'health-gate', 'record-release', 'prune-images'] as const),
  ],
  '1.2.0': [
    ...(['pull-images', 'write-backup', 'verify-backup', 'hand-over', 'replace-operator'] as const),
    ...(['compose-stop', 'copy-database', 'migrate', 'pin-images', 'compose-up', 'wait-healthy'] as const),
    ...(['health-gate', 'record-release', 'prune-images'] as const),
  ],
};

interface Cell {
  to: string;
  step: StepKind;
  when: (typeof WHEN)[number];
  how: 'kill' | 'error' | 'hang';
  /** What is done afterwards. An error is undone by itself, and then the upgrade is tried again. */
  end: 'upgrade' | 'rollback';
}

const cells: Cell[] = Object.entries(UPGRADES).flatMap(([to, steps]) =>
  steps.flatMap((step) =>
    WHEN.flatMap((when) => [
      ...(['kill', 'hang'] as const).flatMap((how) =>
        // While it clears up the new release is in place, and it is what a rollback of the unfinished upgrade gets to.
        (step === 'prune-images' ? ['upgrade' as const] : ['upgrade' as const, 'rollback' as const]).map(
          (end): Cell => ({ to, step, when, how, end }),
        ),
      ),
      { to, step, when, how: 'error' as const, end: 'upgrade' as const },
    ]),
  ),
);
/** One of each kind of failure, anywhere. */
const sample = (['error', 'hang', 'kill'] as const)
  .slice(0, SAMPLE)
  .map((how) =>
    pick(
      cells.filter(
        (cell) =>
          cell.how === how && (how === 'error' || cell.end === (how === 'kill' ? 'rollback' : 'upgrade')),
      ),
    ),
  );

let publisher: Publisher;
let kg: Installation;
let data: string[];

beforeAll(async () => {
  publisher = await Publisher.create({ failpoints: true, lines: { operator: LEAVES_IT_CUT_OFF } });
  const { contract } = await exampleMigrations();
  const healthGate: ReleaseOptions['healthGate'] = { stabilitySeconds: 1 };
  await publisher.add(BACK_TO, { healthGate });
  await publisher.add('1.0.1', { healthGate, policy: { rollbackTo: BACK_TO } });
  await publisher.add('1.2.0', { healthGate, migrations: contract });
  await publisher.issue(['--set', 'stable=1.2.0']);
  kg = await Installation.standalone(publisher);
  await kg.ok(['up', '--yes', '--ai-provider', 'local', '--embedding', 'local'], {
    env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD },
  });
  await kg.logIn();
  await kg.api('POST', '/concepts', { name: 'Ada', description: 'Ada' });
  await kg.api('POST', '/documents', { title: 'Notes', text: 'Ada worked with Babbage. '.repeat(100) });
  data = await dataDigests(kg);
}, 300_000);
afterAll(async () => {
  try {
    await kg?.destroy();
  } finally {
    await publisher?.remove();
  }
});

const upgradeTo = (version: string, failpoint?: string) =>
  kg.begin(['upgrade', '--yes', '--json', '--to', version], {
    env: failpoint ? { KG_FAILPOINT: failpoint } : {},
    seconds: 200,
  });

/** Begins or goes on with an upgrade until its runner is killed at a step. Who watches it is not waited for. */
async function killedAt(version: string, step: StepKind, when: string): Promise<void> {
  const watcher = upgradeTo(version, `${step}:${when}:kill`);
  await atStep(kg, step, 90);
  await noRunner(kg, 30);
  watcher.signal('SIGKILL');
  await watcher.done;
  const { outcome, steps } = await lastChange(kg);
  const at = steps.find(({ startedAt, finishedAt }) => startedAt !== null && finishedAt === null);
  expect({ outcome, at: at?.step.kind }).toEqual({ outcome: 'unfinished', at: step });
}

async function expectInstalled(version: string): Promise<void> {
  await expectServing(kg, version);
  expect(await dataDigests(kg)).toEqual(data);
  await expectNothingLeft(kg, /^kg_(before|failed)/);
}

/** The upgrade without a failpoint gets there; `run` is the one that it must have gone on with. */
async function expectUpgraded(version: string, run?: string): Promise<void> {
  const { code, stdout } = await upgradeTo(version).done;
  expect({ code, answer: JSON.parse(stdout) }).toMatchObject({ code: 0 });
  if (run) expect(await lastChange(kg)).toMatchObject({ outcome: 'finished', id: run });
  await expectInstalled(version);
}

async function rollBack(): Promise<void> {
  await kg.ok(['rollback', '--confirm', kg.prefix]);
  await expectInstalled(BACK_TO);
  // What was put aside would make every later copy and look slower.
  await kg.psql(
    `SELECT format('DROP DATABASE %I WITH (FORCE)', datname) FROM pg_database WHERE datname ~ '^kg_(before|failed)_' \\gexec`,
  );
}

describe.each(Object.entries(UPGRADES))('the upgrade to %s', (version, steps) => {
  test('has the steps that are stopped here', async () => {
    const { document } = await kg.json<{ plan: Plan }>(['upgrade', '--to', version, '--dry-run']);
    expect([...new Set(document.data.plan.steps.map(({ kind }) => kind))]).toEqual(steps);
  });

  const moments = steps.filter((step) => IMPACT.has(step)).map((step) => ({ step, when: pick(WHEN) }));
  test(`killed at every step that changes what runs (seed ${seed}: ${moments.map(({ step, when }) => `${when} ${step}`).join(', ')}), it goes on each time`, async () => {
    let run: string | undefined;
    for (const { step, when } of moments) {
      await killedAt(version, step, when);
      const { id } = await lastChange(kg);
      expect(run ?? id).toBe(id);
      run = id;
    }
    await expectUpgraded(version, run);
  });

  test('afterwards rollback gets back', rollBack);
});

describe('single cells', () => {
  test.each(FULL ? cells : sample)(
    `seed ${seed}: to $to, $how $when $step, then $end`,
    async ({ to, step, when, how, end }) => {
      if (how === 'error') {
        const { code } = await upgradeTo(to, `${step}:${when}:error`).done;
        expect(code).not.toBe(0);
        expect(await lastChange(kg)).toMatchObject(
          IMPACT.has(step) ? { outcome: 'finished', change: { kind: 'rollback' } } : { outcome: 'failed' },
        );
        await expectInstalled(step === 'prune-images' ? to : BACK_TO);
      } else if (how === 'kill') await killedAt(to, step, when);
      else {
        const watcher = upgradeTo(to, `${step}:${when}:hang`);
        await atStep(kg, step, 90);
        await sleep(random() * 1500);
        expect(await killRunner(kg)).toBe(true);
        watcher.signal('SIGKILL');
        await watcher.done;
      }
      if (end === 'upgrade') await expectUpgraded(to);
      await rollBack();
    },
  );
});
