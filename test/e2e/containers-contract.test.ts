import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, jest } from '@jest/globals';
import { dockerRuntime } from '../../packages/engine/src/adapters/docker.ts';
import { containersContract } from '../../packages/engine/test/contract/containers.ts';
import { docker, dockerLines } from './command.ts';
import { ensureImage } from './images.ts';

jest.setTimeout(300_000);

const project = `kge2e-${randomBytes(4).toString('hex')}`;
const network = `${project}_edge`;
let image: string;

beforeAll(async () => {
  image = await ensureImage('gateway');
  await docker('network', 'create', network);
});
afterAll(async () => {
  const left = await dockerLines('ps', '-aq', '--filter', `label=com.docker.compose.project=${project}`);
  if (left.length > 0) await docker('rm', '-f', ...left);
  await docker('network', 'rm', network);
});

containersContract('Docker', async () => ({
  runtime: dockerRuntime(),
  project,
  network,
  create: () =>
    docker(
      'create',
      '--no-healthcheck',
      '--stop-timeout=1',
      `--network=${network}`,
      '--network-alias=api',
      `--label=com.docker.compose.project=${project}`,
      '--label=com.docker.compose.service=api',
      image,
      'sh',
      '-c',
      'echo one; busybox sleep 1; echo two >&2; exec busybox sleep 600',
    ),
}));
