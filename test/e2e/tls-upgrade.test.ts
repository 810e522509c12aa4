import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { parseEnvFile } from '../../packages/engine/src/model/env-file.ts';
import { Authority, ask, handshake } from './certificates.ts';
import { noRunner, runningVersions } from './changes.ts';
import { ADMIN_PASSWORD, Installation } from './installation.ts';
import { Publisher } from './releases.ts';

jest.setTimeout(300_000);

const NAME = 'kg.tls.test';
let publisher: Publisher;
let authority: Authority;
let kg: Installation;

beforeAll(async () => {
  authority = await Authority.create();
  publisher = await Publisher.create();
  await publisher.add('1.0.0');
  await publisher.add('1.1.0', { own: ['gateway'] });
  await publisher.issue();
  kg = await Installation.standalone(publisher);
});
afterAll(async () => {
  try {
    await kg?.destroy();
  } finally {
    await publisher?.remove();
    await authority?.remove();
  }
});

async function set(settings: Record<string, string | number>): Promise<void> {
  const { values } = parseEnvFile(await readFile(kg.path('.operator.conf'), 'utf8'));
  await kg.configure({ ...Object.fromEntries(values), ...settings });
}
const client = () => ({ port: kg.webPort, name: NAME });
const shown = async () => (await handshake(client())).certificate.fingerprint256;

// Both replace the gateway, and both end with the health gate, which asks through TLS.
test('an upgrade keeps the authority and its certificate', async () => {
  await set({ TLS_MODE: 'internal', PUBLIC_HOST: NAME });
  await kg.ok(['up', '--yes', '--ai-provider', 'local', '--embedding', 'local'], {
    env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD },
  });
  const before = await shown();
  const root = (await kg.ok(['cert', 'root'])).stdout;
  await kg.ok(['upgrade', '--yes', '--to', '1.1.0']);
  await noRunner(kg);
  expect(await runningVersions(kg)).toMatchObject({ gateway: '1.1.0', api: '1.1.0' });
  expect(await shown()).toBe(before);
  expect((await ask({ ...client(), ca: root }, { path: '/api/ready' })).status).toBe(200);
});

test('a rollback has the gateway run as the owner of the key again', async () => {
  await authority.issue(kg.root, NAME, { from: -1, to: 90 });
  await set({ TLS_MODE: 'files' });
  await kg.ok(['start']);
  const before = await shown();
  await kg.ok(['rollback', '--yes']);
  await noRunner(kg);
  expect(await runningVersions(kg)).toMatchObject({ gateway: '1.0.0', api: '1.0.0' });
  expect(await shown()).toBe(before);
  expect((await ask({ ...client(), ca: await authority.root() }, { path: '/api/ready' })).status).toBe(200);
  expect((await kg.json(['cert', 'status'])).code).toBe(0);
});
