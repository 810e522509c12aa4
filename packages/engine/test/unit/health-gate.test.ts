import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import type { RunContext } from '../../src/run/context.ts';
import { healthGate } from '../../src/upgrade/health-gate.ts';
import { HealthWindow, type Look } from '../../src/upgrade/health-window.ts';
import { writePins } from '../../src/upgrade/pins.ts';
import { type Behaviour, fakeContainers } from '../fake-containers.ts';
import { declared } from '../observed.ts';

const api = {
  id: 'a',
  name: 'kg-api-1',
  state: 'running',
  health: 'healthy',
  restarts: 0,
  startedAt: '1',
} as const;
const at = (seconds: number, change: Partial<Look> = {}): Look => ({
  atMs: seconds * 1000,
  wrong: [],
  final: null,
  containers: [api],
  ...change,
});
const wrong = (seconds: number) => at(seconds, { wrong: ['GET /: 502 instead of 200'] });

describe('the stability window', () => {
  const limits = { timeoutSeconds: 60, stabilitySeconds: 30 };
  const judge = (...looks: Look[]) => {
    const window = new HealthWindow(limits, 0);
    return looks.map((look) => window.judge(look)).at(-1);
  };

  test('all right for the whole window, and not a look earlier', () => {
    expect(judge(wrong(0), at(10), at(39))).toEqual({ kind: 'wait', note: 'well for 29 of 30 s' });
    expect(judge(wrong(0), at(10), at(39), at(40))).toEqual({ kind: 'well' });
  });

  test('a blip begins it anew', () => {
    expect(judge(at(0), at(20), wrong(21))).toMatchObject({
      kind: 'wait',
      note: expect.stringContaining('anew'),
    });
    expect(judge(at(0), wrong(21), at(22), at(51))).toMatchObject({ kind: 'wait' });
    expect(judge(at(0), wrong(21), at(22), at(52))).toEqual({ kind: 'well' });
  });

  test('never right within the timeout', () => {
    expect(judge(wrong(59))).toMatchObject({ kind: 'wait' });
    expect(judge(wrong(60))).toEqual({ kind: 'failed', why: 'it was not well within 60 s' });
    expect(judge(at(60), at(90))).toEqual({ kind: 'well' });
  });

  test('blips without end: two further windows, no more', () => {
    const looks = Array.from({ length: 9 }, (_, index) => [at(index * 10), wrong(index * 10 + 5)]).flat();
    expect(judge(...looks)).toMatchObject({ kind: 'wait' });
    expect(judge(...looks, at(90))).toEqual({
      kind: 'failed',
      why: 'it was well, but never for 30 s on end',
    });
  });

  test.each([
    ['started again by Docker', [{ ...api, restarts: 1 }], 'ended and was started again, 20 s after'],
    ['started again by somebody', [{ ...api, startedAt: '2' }], 'ended and was started again'],
    ['another one in its place', [{ ...api, id: 'b' }], 'is gone'],
    ['gone', [], 'is gone'],
    ['ended', [{ ...api, state: 'exited' }], 'is exited'],
    ['unhealthy', [{ ...api, health: 'unhealthy' as const }], 'is unhealthy'],
  ])('a container that is %s inside the window fails at once', (_name, containers, why) => {
    expect(judge(at(0), at(20, { containers }))).toEqual({
      kind: 'failed',
      why: expect.stringContaining(why),
    });
  });

  test('nor does a blip hide that it ended', () => {
    const containers = [{ ...api, restarts: 1 }];
    expect(judge(at(0), wrong(20), at(21, { containers }))).toMatchObject({ kind: 'failed' });
  });

  test('before all was right for the first time a container may start again', () => {
    expect(judge(wrong(0), at(5, { containers: [{ ...api, restarts: 3 }] }))).toMatchObject({ kind: 'wait' });
  });

  test('what time will not mend fails at once', () => {
    expect(judge(at(0, { final: 'kg-api-1 runs another image' }))).toEqual({
      kind: 'failed',
      why: 'kg-api-1 runs another image',
    });
  });
});

describe('health-gate', () => {
  let time: number;
  let behaviours: Record<string, Behaviour>;
  let host: ReturnType<typeof fakeContainers>;
  let context: RunContext;
  let answer: (url: string) => Response;
  const asked: string[] = [];
  const said: string[] = [];

  beforeEach(async () => {
    time = 0;
    asked.length = 0;
    said.length = 0;
    behaviours = {};
    host = fakeContainers(
      () => time,
      (image) => behaviours[image] ?? { healthyAfterMs: 0 },
    );
    for (const service of ['operator', 'gateway', 'api', 'web']) host.create(service, `${service}:2`, true);
    answer = (url) => (url.endsWith('/ready') ? Response.json({ ready: true }) : new Response('<html>'));
    const stateDirectory = await mkdtemp(join(tmpdir(), 'kg-gate-'));
    await writePins(stateDirectory, { version: '2.0.0', images: { api: 'api:2', web: 'web:2' } });
    context = {
      settings: {
        project: 'kg',
        stateDirectory,
        gateway: { api: 'http://gateway:8000', web: 'http://gateway:3000' },
      },
      runtime: host.runtime,
      compose: { declaredServices: async () => declared },
      images: { find: async (image: string) => ({ id: `sha256:${image}` }) },
      clock: {
        now: () => time,
        sleep: async (ms: number) => {
          time += ms;
        },
      },
      fetch: async (url: string) => {
        asked.push(`${time} ${url}`);
        return answer(url);
      },
      signal: new AbortController().signal,
    } as unknown as RunContext;
  });

  const gate = () =>
    healthGate(
      {
        kind: 'health-gate',
        version: '2.0.0',
        checks: [
          { target: 'api', path: '/ready', status: 200 },
          { target: 'web', path: '/', status: 200 },
        ],
        timeoutSeconds: 60,
        stabilitySeconds: 3,
      },
      context,
      (line) => said.push(line),
    );

  test('every check is asked through the gateway once a second, until the window is over', async () => {
    await gate();
    expect(asked).toEqual(
      [0, 1000, 2000, 3000].flatMap((ms) => [
        `${ms} http://gateway:8000/ready`,
        `${ms} http://gateway:3000/`,
      ]),
    );
    expect(said).toEqual(['well for 0 of 3 s', 'well for 1 of 3 s', 'well for 2 of 3 s']);
  });

  test('200 is not ready: the API must say so itself', async () => {
    answer = (url) =>
      url.endsWith('/ready')
        ? Response.json({
            ready: false,
            checks: [
              { name: 'database', ok: false },
              { name: 'x', ok: true },
            ],
          })
        : new Response('<html>');
    await expect(gate()).rejects.toMatchObject({
      code: 'HEALTH_GATE_FAILED',
      exitCode: 7,
      message: '2.0.0 is not well: it was not well within 60 s',
      details: [
        'GET /ready of the API: 200, not ready (database)',
        'GET / of the web app: 200, as it should',
      ],
    });
    expect(time).toBe(60_000);
  });

  test('nobody who answers, and another status', async () => {
    answer = (url) => {
      if (url.endsWith('/ready')) throw new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') });
      return new Response('', { status: 302 });
    };
    await expect(gate()).rejects.toMatchObject({
      details: ['GET /ready of the API: ECONNREFUSED', 'GET / of the web app: 302 instead of 200'],
    });
  });

  test('a copy that ends after a while fails the gate with its log', async () => {
    const [id] = host.of('api').map(({ id }) => id);
    await host.runtime.stopContainer(id as string);
    await host.runtime.startContainer(id as string);
    behaviours['api:2'] = { healthyAfterMs: 0, endsAfterMs: 2_000 };
    await expect(gate()).rejects.toMatchObject({
      message: '2.0.0 is not well: kg-api-3 ended and was started again, 2 s after it was well',
      details: expect.arrayContaining(['kg-api-3: said by kg-api-3']),
    });
  });

  test('a container of another image than the pinned one fails at once', async () => {
    host.create('web', 'web:1', true);
    await expect(gate()).rejects.toMatchObject({
      message: '2.0.0 is not well: kg-web-5 runs web:1 instead of web:2',
    });
    expect(time).toBe(0);
  });

  test('a service without a container is not well', async () => {
    const [id] = host.of('web').map(({ id }) => id);
    await host.runtime.removeContainer(id as string);
    await expect(gate()).rejects.toMatchObject({ details: expect.arrayContaining(['web has no container']) });
  });
});
