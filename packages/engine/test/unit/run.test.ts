import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { fileJournal } from '../../src/adapters/journal.ts';
import type { ContainerObservation } from '../../src/model/observation.ts';
import type { Plan } from '../../src/model/plan.ts';
import { readSettings } from '../../src/model/settings.ts';
import type { RunContext } from '../../src/run/context.ts';
import { lockAddress, takeLock } from '../../src/run/lock.ts';
import { type Render, runPlan } from '../../src/run/run-plan.ts';
import { waitHealthy } from '../../src/run/wait.ts';
import { container } from '../observed.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kg-run-'));
});

const inOrder: Render = async (plan, runStep) => {
  for (const step of plan.steps) await runStep(step, () => undefined);
};

/** A context whose Docker shows one list of containers per look; the last one stays. */
function contextWith(looks: ContainerObservation[][], signal = new AbortController().signal) {
  const calls: string[] = [];
  let look = 0;
  let time = 0;
  const context = {
    settings: { ...readSettings({ KG_ROOT: directory }), stateDirectory: join(directory, '.operator') },
    runtime: {
      listContainers: async () => looks[Math.min(look++, looks.length - 1)] ?? [],
      diskIn: async () => null,
    },
    compose: {
      up: async (services: string[]) => void calls.push(`up ${services}`),
      stop: async (services: string[]) => {
        calls.push(`stop ${services}`);
        if (services.includes('stuck')) throw new Error('cannot stop');
      },
      lastLogLines: async () => ['the last line'],
    },
    clock: {
      now: () => time,
      sleep: async (milliseconds: number) => {
        time += milliseconds;
      },
    },
    journal: fileJournal(join(directory, '.operator')),
    signal,
  } as unknown as RunContext;
  return { context, calls };
}

const plan = (...steps: Plan['steps']): Plan => ({ goal: 'test', steps, warnings: [], destructive: false });
const journal = async () =>
  (await readFile(join(directory, '.operator/journal.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('runPlan', () => {
  test('runs the steps in order, each journalled before and after', async () => {
    const { context, calls } = contextWith([]);
    await runPlan(
      plan({ kind: 'compose-up', services: ['a'] }, { kind: 'compose-stop', services: ['b'] }),
      context,
      'kg-operator test',
      inOrder,
    );
    expect(calls).toEqual(['up a', 'stop b']);
    expect((await journal()).map(({ event, step }) => (step ? `${event} ${step}` : event))).toEqual([
      'run-started',
      'step-started compose-up',
      'step-finished compose-up',
      'step-started compose-stop',
      'step-finished compose-stop',
      'run-finished',
    ]);
  });

  test('a failing step ends the run, is journalled, and gives the lock back', async () => {
    const { context, calls } = contextWith([]);
    const failing = plan(
      { kind: 'compose-stop', services: ['stuck'] },
      { kind: 'compose-up', services: ['a'] },
    );
    await expect(runPlan(failing, context, 'kg-operator test', inOrder)).rejects.toThrow('cannot stop');
    expect(calls).toEqual(['stop stuck']);
    expect((await journal()).at(-1)).toMatchObject({ event: 'run-failed', error: 'cannot stop' });
    await (await takeLock(context.settings.stateDirectory, 'next'))();
  });

  test('a journal that cannot be written does not hide what failed', async () => {
    const { context } = contextWith([]);
    const written: string[] = [];
    context.journal.append = async ({ event }) => {
      if (event === 'run-failed') throw new Error('ENOSPC');
      written.push(event);
    };
    const failing = plan({ kind: 'compose-stop', services: ['stuck'] });
    await expect(runPlan(failing, context, 'kg-operator test', inOrder)).rejects.toThrow('cannot stop');
    expect(written).toEqual(['run-started', 'step-started']);
  });

  test('an interrupt lets the running step finish and starts no other', async () => {
    const abort = new AbortController();
    const { context, calls } = contextWith([], abort.signal);
    context.compose.up = async () => abort.abort();
    const interrupted = plan(
      { kind: 'compose-up', services: ['a'] },
      { kind: 'compose-stop', services: ['b'] },
    );
    await expect(runPlan(interrupted, context, 'kg-operator test', inOrder)).rejects.toMatchObject({
      code: 'INTERRUPTED',
    });
    expect(calls).toEqual([]);
    expect((await journal()).filter(({ event }) => event === 'step-finished')).toHaveLength(1);
  });
});

describe('takeLock', () => {
  test('a second holder is refused with exit code 5 and told who holds it', async () => {
    const release = await takeLock(directory, 'kg-operator start');
    await expect(takeLock(directory, 'kg-operator stop')).rejects.toMatchObject({
      code: 'LOCKED',
      exitCode: 5,
      message: expect.stringContaining('"kg-operator start" is running since'),
    });
    await release();
    await (await takeLock(directory, 'kg-operator stop'))();
  });

  test('whoever only asks, or is about to write its name, refuses nobody and is named', async () => {
    const asked = await takeLock(directory, 'kg-operator status');
    await rm(join(directory, 'holder.json')); // as between taking the lock and writing the name
    const next = takeLock(directory, 'kg-operator start');
    await sleep(60);
    await asked();
    const release = await next;

    const holder = await readFile(join(directory, 'holder.json'));
    await rm(join(directory, 'holder.json'));
    const refused = takeLock(directory, 'kg-operator stop');
    await Promise.all([
      expect(refused).rejects.toMatchObject({ message: expect.stringContaining('"kg-operator start"') }),
      sleep(60).then(() => writeFile(join(directory, 'holder.json'), holder)),
    ]);
    await release();
  });

  test('the name of a command that was killed refuses nobody, and is not told to them', async () => {
    const holder = join(directory, 'holder.json');
    const asked = await takeLock(directory, 'kg-operator status');
    await writeFile(holder, JSON.stringify({ command: 'killed', pid: 1, since: '2026-01-02T03:04:05.000Z' }));
    const next = takeLock(directory, 'kg-operator start');
    await sleep(20);
    await asked();
    const release = await next;

    const current = await readFile(holder);
    await writeFile(holder, JSON.stringify({ command: 'killed', pid: 1, since: '2026-01-02T03:04:05.000Z' }));
    const refused = takeLock(directory, 'kg-operator stop');
    await Promise.all([
      expect(refused).rejects.toMatchObject({ message: expect.stringContaining('"kg-operator start"') }),
      sleep(20).then(() => writeFile(holder, current)),
    ]);
    await release();
  });

  test('installations do not lock each other, and every platform has an address', () => {
    expect(lockAddress('/a', 'linux')).not.toEqual(lockAddress('/b', 'linux'));
    expect(lockAddress('/a', 'win32').path).toMatch(/^\\\\\.\\pipe\\/);
    expect(lockAddress('/a', 'darwin').port).toBeGreaterThanOrEqual(49152);
  });
});

describe('waitHealthy', () => {
  const starting = container('api', { health: 'starting' });

  test('returns when the service is healthy', async () => {
    const { context } = contextWith([[], [starting], [container('api')]]);
    await waitHealthy(context, ['api'], 10, () => undefined);
  });

  test('gives up at the deadline with the service and its last log lines', async () => {
    const { context } = contextWith([[starting]]);
    await expect(waitHealthy(context, ['api'], 10, () => undefined)).rejects.toMatchObject({
      exitCode: 7,
      message: 'api is not healthy after 10 s',
      details: ['api: the last line'],
    });
  });

  test('does not wait for the deadline when the container ended or restarts in a loop', async () => {
    for (const state of ['exited', 'restarting']) {
      const { context } = contextWith([[container('api', { state, health: 'none' })]]);
      await expect(waitHealthy(context, ['api'], 100_000, () => undefined)).rejects.toMatchObject({
        code: 'UNHEALTHY',
      });
      expect(context.clock.now()).toBeLessThan(10_000);
    }
  });
});
