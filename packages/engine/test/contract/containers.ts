import { describe, expect, test } from '@jest/globals';
import type { ContainerRuntime } from '../../src/adapters/docker.ts';

export interface ContainerHost {
  runtime: ContainerRuntime;
  project: string;
  network: string;
  /** Creates a container of service `api`, on the network under that name; it is not started. Its log will be `one`, `two`. */
  create(): Promise<string>;
}

/** What the engine relies on when it handles containers itself. */
export function containersContract(name: string, openHost: () => Promise<ContainerHost>): void {
  describe(`containers: ${name}`, () => {
    test('created, started, stopped, removed; each of them may be asked for twice', async () => {
      const { runtime, create } = await openHost();
      const id = await create();
      expect(await runtime.inspectContainer(id)).toMatchObject({ id, state: 'created', health: 'none' });
      await runtime.startContainer(id);
      await runtime.startContainer(id);
      const started = await runtime.inspectContainer(id);
      expect(started).toMatchObject({ state: 'running', restarts: 0 });
      expect(started?.startedAt).not.toBe('');
      await runtime.stopContainer(id);
      await runtime.stopContainer(id);
      expect(await runtime.inspectContainer(id)).toMatchObject({ state: 'exited' });
      await runtime.removeContainer(id);
      await runtime.removeContainer(id);
      expect(await runtime.inspectContainer(id)).toBeNull();
      await runtime.stopContainer(id);
      await expect(runtime.startContainer(id)).rejects.toMatchObject({ code: 'DOCKER_FAILED', exitCode: 6 });
    });

    test('one that runs is removed as well', async () => {
      const { runtime, create } = await openHost();
      const id = await create();
      await runtime.startContainer(id);
      await runtime.removeContainer(id);
      expect(await runtime.inspectContainer(id)).toBeNull();
    });

    test('inspect and the list say the same of what it was made from', async () => {
      const { runtime, project, create } = await openHost();
      const id = await create();
      const listed = (await runtime.listContainers(project)).find((one) => one.id === id);
      const inspected = await runtime.inspectContainer(id);
      expect(listed).toMatchObject({ service: 'api', state: 'created' });
      expect(inspected).toMatchObject({ reference: listed?.image, imageId: listed?.imageId });
      await runtime.removeContainer(id);
    });

    test.each([false, true])(
      'its names on a network are those it is given last; running: %s',
      async (running) => {
        const { runtime, network, create } = await openHost();
        const id = await create();
        if (running) await runtime.startContainer(id);
        const names = async () => (await runtime.inspectContainer(id))?.networks[network];
        expect(await names()).toContain('api');
        await runtime.renameOnNetwork(id, network, []);
        expect(await names()).toEqual([]);
        await runtime.renameOnNetwork(id, network, ['kg-api-7', 'api']);
        expect(await names()).toEqual(['kg-api-7', 'api']);
        await runtime.removeContainer(id);
      },
    );

    test('the newest lines of its log, oldest first', async () => {
      const { runtime, create } = await openHost();
      const id = await create();
      await runtime.startContainer(id);
      let lines: string[] = [];
      for (let tries = 0; lines.length < 2 && tries < 50; tries++) {
        lines = await runtime.containerLog(id, 30);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      expect(lines).toEqual(['one', 'two']);
      expect(await runtime.containerLog(id, 1)).toEqual(['two']);
      await runtime.removeContainer(id);
    });
  });
}
