import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { fileJournal, type JournalEvent, type ReleaseChange } from '../../src/adapters/journal.ts';
import { driftFindings } from '../../src/checks/drift.ts';
import { operationStatus } from '../../src/checks/operation.ts';
import { openChange } from '../../src/history/last-change.ts';
import type { OperatorError } from '../../src/model/errors.ts';
import type { ContainerObservation } from '../../src/model/observation.ts';
import type { Step } from '../../src/model/plan.ts';
import { readSettings } from '../../src/model/settings.ts';
import type { RunContext } from '../../src/run/context.ts';
import { observe } from '../../src/run/observe.ts';
import { requireNoUnfinishedChange } from '../../src/run/unfinished-change.ts';
import { writePins } from '../../src/upgrade/pins.ts';
import { container, declared } from '../observed.ts';

const UPGRADE = '6a1f0000-0000-4000-8000-000000000001';
const ROLLBACK = '7b2f0000-0000-4000-8000-000000000002';
const IMAGE = 'registry.example.org/kg/kg-operator-api@sha256:aaaa';

let root: string;
let runner: { run: string; since: string } | null;
let containers: ContainerObservation[];
let found: Record<string, string>;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kg-change-'));
  runner = null;
  containers = [];
  found = {};
});

const state = () => join(root, '.operator');
const context = (mode: 'containers' | 'embedded' = 'containers') =>
  ({
    settings: { ...readSettings({ KG_ROOT: root }), mode, stateDirectory: state() },
    hostname: 'nowhere',
    runtime: { listContainers: async () => containers },
    serviceMemo: { recall: async () => declared },
    images: { find: async (name: string) => (found[name] ? { id: found[name] } : null) },
    runner: { current: async () => runner },
    journal: fileJournal(state()),
    observeDatabase: async () => ({ reachable: false, reason: 'off' }),
  }) as unknown as RunContext;

const write = async (...events: JournalEvent[]) => {
  for (const event of events) await fileJournal(state()).append(event);
};
const change = (kind: 'upgrade' | 'rollback', undoes: string | null = null): ReleaseChange => ({
  kind,
  from: { version: '1.0.0', images: {} },
  path: [{ version: '1.1.0', images: {} }],
  head: null,
  undoes,
  backup: null,
  environment: {},
});
const steps: Step[] = [
  { kind: 'run-hook', hook: 'pre-upgrade' },
  { kind: 'roll-service', service: 'api', image: IMAGE, timeoutSeconds: 1 },
];
const upgrade = (): JournalEvent[] => [
  {
    event: 'run-started',
    run: UPGRADE,
    command: 'upgrade',
    goal: 'upgrade to 1.1.0',
    steps,
    change: change('upgrade'),
  },
  { event: 'step-started', run: UPGRADE, index: 0, step: 'run-hook' },
  { event: 'step-finished', run: UPGRADE, index: 0, step: 'run-hook' },
  { event: 'step-started', run: UPGRADE, index: 1, step: 'roll-service' },
];
const rollback = (): JournalEvent => ({
  event: 'run-started',
  run: ROLLBACK,
  command: 'automatic rollback',
  goal: 'roll back to 1.0.0',
  steps,
  change: change('rollback', UPGRADE),
});
const failed = (run: string, code: string): JournalEvent => ({
  event: 'run-failed',
  run,
  error: 'the API does not answer',
  code,
  hint: './operator.sh rollback, when it is mended',
});
const start = (run: string, last: 'run-finished' | 'run-failed'): JournalEvent[] => [
  {
    event: 'run-started',
    run,
    command: 'start',
    goal: 'start the platform',
    steps: [{ kind: 'probe', target: 'api', timeoutSeconds: 1 }],
  },
  last === 'run-finished' ? { event: last, run } : { event: last, run, error: 'no' },
];
const open = () => openChange(fileJournal(state()));
const refusal = () => requireNoUnfinishedChange(context()).catch((error: OperatorError) => error);

describe('an upgrade or rollback about which something is open', () => {
  test('none: without a journal, after other runs, after one that finished or failed without harm', async () => {
    expect(await open()).toBeNull();
    await write(...start('a', 'run-failed'), ...start('b', 'run-finished'));
    expect(await open()).toBeNull();
    await write(...upgrade(), failed(UPGRADE, 'PULL_FAILED'));
    expect(await open()).toBeNull();
    expect(await refusal()).toBeUndefined();
  });

  test('one that a runner is at', async () => {
    await write(...upgrade());
    runner = { run: UPGRADE, since: '' };
    const { change: seen } = await observe(context(), { recallServices: true });
    expect(operationStatus(seen)).toMatchObject({
      run: UPGRADE,
      kind: 'upgrade',
      state: 'running',
      step: 2,
      of: 2,
      title: 'Replace api while it serves',
      next: ['./operator.sh upgrade --attach'],
    });
    expect(await refusal()).toMatchObject({ code: 'LOCKED', exitCode: 5 });
  });

  test('one that was interrupted, also while a runner is at another', async () => {
    await write(...upgrade());
    runner = { run: 'another', since: '' };
    const error = (await refusal()) as OperatorError;
    expect(error).toMatchObject({ code: 'OPERATION_UNFINISHED', exitCode: 3 });
    expect(error.message).toBe(
      '"upgrade to 1.1.0" was interrupted at step 2 of 2, Replace api while it serves',
    );
    expect(error.hint).toContain('./operator.sh upgrade');
    expect(error.hint).toContain('./operator.sh rollback');
    expect(error.details.join()).toContain('6a1f0000');
    const { change: seen } = await observe(context(), { recallServices: true });
    expect(operationStatus(seen)).toMatchObject({
      state: 'interrupted',
      next: ['./operator.sh upgrade', './operator.sh rollback'],
    });
  });

  test('of a rollback that was interrupted: only rollback goes on', async () => {
    await write(...upgrade(), rollback(), failed(UPGRADE, 'UNHEALTHY'));
    expect(operationStatus({ run: (await open()) as never, running: false })).toMatchObject({
      run: ROLLBACK,
      kind: 'rollback',
      state: 'interrupted',
      step: 1,
      next: ['./operator.sh rollback'],
    });
  });

  test('a rollback that failed needs recovery until something has shown that the platform works', async () => {
    await write(...upgrade(), rollback(), failed(UPGRADE, 'UNHEALTHY'), failed(ROLLBACK, 'RECOVERY_NEEDED'));
    expect(operationStatus({ run: (await open()) as never, running: false })).toMatchObject({
      state: 'recovery-needed',
      problem: 'the API does not answer',
      next: ['./operator.sh rollback, when it is mended'],
    });
    expect(await refusal()).toBeUndefined();
    await write(...start('a', 'run-failed'));
    expect(await open()).not.toBeNull();
    await write(...start('b', 'run-finished'));
    expect(await open()).toBeNull();
  });

  test('without containers there is none, and no Docker is asked', async () => {
    await write(...upgrade());
    const without = context('embedded');
    without.runner.current = () => Promise.reject(new Error('asked'));
    await requireNoUnfinishedChange(without);
    expect((await observe(without, { recallServices: true })).change).toBeNull();
  });
});

describe('what runs, and what was installed', () => {
  const findings = async () => driftFindings(await observe(context(), { recallServices: true }));

  test('nothing is pinned: nothing to compare', async () => {
    containers = [container('api')];
    expect((await observe(context(), { recallServices: true })).pins).toBeNull();
    expect(await findings()).toEqual([]);
  });

  test('the same by name, by id, or by another name; no container is no drift', async () => {
    await writePins(state(), {
      version: '1.1.0',
      images: { api: IMAGE, web: 'sha256:bbbb', gateway: IMAGE },
    });
    found = { [IMAGE]: 'sha256:cccc' };
    for (const same of [{ image: IMAGE }, { image: 'kg-api:tag', imageId: 'sha256:cccc' }]) {
      containers = [container('api', same), container('web', { image: 'kg-web:1', imageId: 'sha256:bbbb' })];
      expect(await findings()).toEqual([]);
    }
  });

  test('another image is named, and start brings back the one that was installed', async () => {
    await writePins(state(), { version: '1.1.0', images: { api: IMAGE, migrate: IMAGE } });
    const other = { image: 'kg-api:mine', imageId: 'sha256:dddd' };
    containers = [container('api', { image: IMAGE }), container('api', other), container('migrate', other)];
    expect(await findings()).toEqual([
      { problem: `api runs kg-api:mine, and not ${IMAGE}, which was installed`, fix: './operator.sh start' },
    ]);
  });
});
