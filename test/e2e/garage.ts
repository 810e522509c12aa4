import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Secret } from '@kg-operator/config';
import { garageAdmin } from '../../packages/engine/src/adapters/garage.ts';
import { opensBucket } from '../../packages/engine/src/config/opens-bucket.ts';
import type { FreshGarage } from '../../packages/engine/test/contract/object-store.ts';
import { docker, expectCode, run } from './command.ts';
import { until } from './wait.ts';

export const IMAGE = 'dxflrs/garage:v2.3.0';
const CONFIGURATION = join(import.meta.dirname, '..', '..', 'docker', 'garage', 'garage.toml');

export interface RealGarage extends FreshGarage {
  /** Its container. */
  name: string;
  adminUrl: string;
  s3Url: string;
  token: string;
  call(method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown>;
}

/** A throwaway container whose data is in memory. */
export async function startGarage(): Promise<RealGarage> {
  const token = randomBytes(32).toString('hex');
  const name = `kge2e-garage-${randomBytes(4).toString('hex')}`;
  const started = await run(
    'docker',
    [
      ...['run', '-d', '--rm', '--name', name, '-e', 'GARAGE_RPC_SECRET', '-e', 'GARAGE_ADMIN_TOKEN'],
      ...['-p', '127.0.0.1::3900', '-p', '127.0.0.1::3903', '-v', `${CONFIGURATION}:/etc/garage.toml:ro`],
      ...['--tmpfs', '/var/lib/garage/meta', '--tmpfs', '/var/lib/garage/data', IMAGE],
    ],
    { env: { GARAGE_RPC_SECRET: randomBytes(32).toString('hex'), GARAGE_ADMIN_TOKEN: token } },
  );
  expectCode(started);
  const close = async () => void (await docker('rm', '-f', name));
  try {
    const address = async (port: number) =>
      `http://${(await docker('port', name, `${port}/tcp`)).split('\n')[0]}`;
    const [adminUrl, s3Url] = await Promise.all([address(3903), address(3900)]);
    const call = async (method: 'GET' | 'POST', path: string, body?: unknown) => {
      const response = await fetch(`${adminUrl}/v2/${path}`, {
        method,
        headers: { authorization: `Bearer ${token}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
      return response.json();
    };
    await until('Garage answers', () => call('GET', 'GetClusterStatus'));
    return {
      admin: garageAdmin(adminUrl, new Secret(token)),
      async secretOf(accessKeyId) {
        const key = await call('GET', `GetKeyInfo?id=${accessKeyId}&showSecretKey=true`);
        return (key as { secretAccessKey: string }).secretAccessKey;
      },
      async keyIds() {
        return ((await call('GET', 'ListKeys')) as { id: string }[]).map(({ id }) => id);
      },
      opensBucket: (settings, secret) => opensBucket({ ...settings, endpoint: s3Url }, secret),
      close,
      name,
      adminUrl,
      s3Url,
      token,
      call,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
