import { beforeEach, describe, expect, test } from '@jest/globals';
import type { RunContext } from '../../src/run/context.ts';
import { rollService } from '../../src/upgrade/roll-service.ts';
import { type Behaviour, fakeContainers } from '../fake-containers.ts';

const OLD = 'registry/kg-operator-api@sha256:1111';
const NEW = 'registry/kg-operator-api@sha256:2222';

describe('roll-service', () => {
  let time: number;
  let behaviours: Record<string, Behaviour>;
  let host: ReturnType<typeof fakeContainers>;
  let made: string;
  let abort: AbortController;
  /** The smallest number of copies that served while time passed. */
  let fewest: number;
  /** Copies that the gateway could find before they were healthy. */
  let tooEarly: string[];
  let context: RunContext;

  beforeEach(() => {
    time = 0;
    behaviours = { [OLD]: { healthyAfterMs: 0 }, [NEW]: { healthyAfterMs: 3_000 } };
    host = fakeContainers(
      () => time,
      (image) => behaviours[image] ?? { healthyAfterMs: 0 },
    );
    made = NEW;
    fewest = Number.POSITIVE_INFINITY;
    tooEarly = [];
    abort = new AbortController();
    context = {
      settings: { project: 'kg' },
      runtime: host.runtime,
      compose: {
        async createCopies(service: string, copies: number) {
          while (host.of(service).length < copies) host.create(service, made);
        },
      },
      images: { find: async (image: string) => (image === 'gone' ? null : { id: `sha256:${image}` }) },
      clock: {
        now: () => time,
        async sleep(ms: number) {
          time += ms;
          const served = host.of('api').filter(({ state, health, networks }) => {
            const found = state === 'running' && networks.edge?.includes('api');
            if (found && health !== 'healthy') tooEarly.push(`${health} at ${time}`);
            return found && health === 'healthy';
          });
          fewest = Math.min(fewest, served.length);
        },
      },
      get signal() {
        return abort.signal;
      },
    } as unknown as RunContext;
    host.create('gateway', 'gateway', true);
  });

  const roll = (image = NEW, report: (line: string) => void = () => undefined) =>
    rollService({ kind: 'roll-service', service: 'api', image, timeoutSeconds: 60 }, context, report);
  const images = () => host.of('api').map(({ reference, state }) => `${reference} ${state}`);

  test('a new copy starts unseen, is shown when it is healthy, and then the old one goes', async () => {
    host.create('api', OLD, true);
    const said: string[] = [];
    await roll(NEW, (line) => said.push(line));
    expect(host.calls).toEqual([
      'hide kg-api-3',
      'start kg-api-3',
      'show kg-api-3',
      'stop kg-api-2',
      'remove kg-api-2',
    ]);
    expect(host.of('api')).toMatchObject([
      { reference: NEW, health: 'healthy', networks: { edge: ['kg-api-3', 'api'] } },
    ]);
    expect(said).toEqual(
      expect.arrayContaining(['waiting for kg-api-3', 'kg-api-3 is healthy', 'stopping kg-api-2']),
    );
    expect([fewest, tooEarly]).toEqual([1, []]);
  });

  test('the gateway has more than its second to learn of the new copy before the old one stops', async () => {
    host.create('api', OLD, true);
    let shownMs = 0;
    const { renameOnNetwork, stopContainer } = host.runtime;
    host.runtime.renameOnNetwork = async (...args) => {
      shownMs = time;
      await renameOnNetwork(...args);
    };
    let stoppedMs = 0;
    host.runtime.stopContainer = async (id) => {
      stoppedMs = time;
      await stopContainer(id);
    };
    await roll();
    expect(stoppedMs - shownMs).toBeGreaterThan(2_000);
  });

  test('several copies: as many new ones first, and the old ones one after the other', async () => {
    for (let copies = 0; copies < 3; copies++) host.create('api', OLD, true);
    await roll();
    expect(images()).toEqual(Array(3).fill(`${NEW} running`));
    expect(fewest).toBe(3);
  });

  test('done is done', async () => {
    host.create('api', NEW, true);
    await roll();
    expect(host.calls).toEqual([]);
    expect(images()).toEqual([`${NEW} running`]);
  });

  test('nothing that serves: the new copy is started all the same', async () => {
    await roll();
    expect(images()).toEqual([`${NEW} running`]);
  });

  test.each(['waiting', 'kg-api', 'stopping'])(
    'cut off at "%s" and run again: the new one serves, nothing else is left, and the old one served meanwhile',
    async (at) => {
      host.create('api', OLD, true);
      await roll(NEW, (line) => {
        if (line.startsWith(at)) throw new Error('killed');
      }).catch((error: Error) => expect(error.message).toBe('killed'));
      expect(images()).toHaveLength(2);
      await roll();
      expect(images()).toEqual([`${NEW} running`]);
      expect(host.calls.filter((call) => call.startsWith('start'))).toHaveLength(1);
      expect([fewest, tooEarly]).toEqual([1, []]);
    },
  );

  test('cut off at any call to Docker, and run again', async () => {
    const methods = ['startContainer', 'stopContainer', 'removeContainer', 'renameOnNetwork'] as const;
    for (let cut = 0; ; cut++) {
      host.create('api', OLD, true);
      const real = { ...host.runtime };
      let calls = 0;
      for (const method of methods)
        host.runtime[method] = async (...args: never[]) => {
          if (calls === cut) throw new Error('killed');
          calls += 1;
          await (real[method] as (...args: never[]) => Promise<void>)(...args);
        };
      const ended = await roll().then(
        () => true,
        () => false,
      );
      Object.assign(host.runtime, real);
      await roll();
      expect(images()).toEqual([`${NEW} running`]);
      expect(host.shown('api')).toHaveLength(1);
      expect(tooEarly).toEqual([]);
      if (ended) break;
      for (const { id } of host.of('api')) await host.runtime.removeContainer(id);
    }
    expect(host.calls.length).toBeGreaterThan(20);
  });

  test('a copy that an attempt before left broken is replaced', async () => {
    host.create('api', OLD, true);
    const broken = host.create('api', NEW, true);
    await host.runtime.stopContainer(broken);
    await roll();
    expect(images()).toEqual([`${NEW} running`]);
    expect((await host.runtime.inspectContainer(broken)) === null).toBe(true);
  });

  test('what an attempt with a third image has left goes, and is not replaced', async () => {
    host.create('api', OLD, true);
    const left = host.create('api', 'registry/kg-operator-api@sha256:3333', true);
    await host.runtime.renameOnNetwork(left, 'edge', []);
    host.create('api', 'registry/kg-operator-api@sha256:3333');
    await roll();
    expect(images()).toEqual([`${NEW} running`]);
  });

  test.each([
    ['never healthy', { healthyAfterMs: null }, 'is not healthy after 60 s'],
    ['ends before', { healthyAfterMs: 5_000, endsAfterMs: 2_000 }, 'ended before it was healthy'],
    ['ends right after', { healthyAfterMs: 1_000, endsAfterMs: 2_000 }, 'did not stay healthy'],
  ])('%s: the new copy is taken back, the old one served all the time', async (_name, behaviour, why) => {
    host.create('api', OLD, true);
    behaviours[NEW] = behaviour;
    await expect(roll()).rejects.toMatchObject({
      code: 'APPLICATION_UNHEALTHY',
      exitCode: 7,
      message: expect.stringContaining(why),
      details: ['kg-api-3: said by kg-api-3'],
    });
    expect(images()).toEqual([`${OLD} running`]);
    expect(host.calls).not.toContain('stop kg-api-2');
    expect(fewest).toBe(1);
  });

  test('an interruption leaves both, for the next run', async () => {
    host.create('api', OLD, true);
    await expect(roll(NEW, () => abort.abort())).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(images()).toEqual([`${OLD} running`, `${NEW} running`]);
    abort = new AbortController();
    await roll();
    expect(images()).toEqual([`${NEW} running`]);
  });

  test('an image that is not here, and one that compose does not take: nothing is changed', async () => {
    host.create('api', OLD, true);
    await expect(roll('gone')).rejects.toMatchObject({ code: 'IMAGE_MISSING', exitCode: 6 });
    made = 'of-an-override';
    await expect(roll()).rejects.toMatchObject({ code: 'IMAGE_OVERRIDDEN', exitCode: 3 });
    expect(images()).toEqual([`${OLD} running`]);
  });

  test('the same image under another reference is replaced: compose would do so at the next start', async () => {
    host.create('api', 'kg-operator-api:1.0.0', true);
    await roll();
    expect(images()).toEqual([`${NEW} running`]);
  });
});
