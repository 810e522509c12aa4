import { containersContract } from '../contract/containers.ts';
import { fakeContainers } from '../fake-containers.ts';

containersContract('the fake', async () => {
  const { runtime, create } = fakeContainers(
    () => 0,
    () => ({ healthyAfterMs: null, log: ['one', 'two'] }),
  );
  return { runtime, project: 'kg', network: 'edge', create: async () => create('api', 'registry/api:1') };
});
