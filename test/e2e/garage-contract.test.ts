import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Secret } from '@kg-operator/config';
import { garageAdmin } from '../../packages/engine/src/adapters/garage.ts';
import { configureObjectStore } from '../../packages/engine/src/config/garage.ts';
import { opensBucket } from '../../packages/engine/src/config/opens-bucket.ts';
import { type FreshGarage, objectStoreContract } from '../../packages/engine/test/contract/object-store.ts';
import { migratedDatabase } from '../../packages/engine/test/embedded-database.ts';
import { docker, expectCode, run } from './command.ts';
import { until } from './wait.ts';

jest.setTimeout(120_000);

const IMAGE = 'dxflrs/garage:v2.3.0';
const CONFIGURATION = join(import.meta.dirname, '..', '..', 'docker', 'garage', 'garage.toml');

interface RealGarage extends FreshGarage {
  adminUrl: string;
  s3Url: string;
  token: string;
  call(method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown>;
}

/** A throwaway container whose data is in memory. */
async function startGarage(): Promise<RealGarage> {
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

objectStoreContract(`a real Garage, ${IMAGE}`, startGarage);

describe('a real Garage in states that the fake does not know', () => {
  let garage: RealGarage;
  let database: Awaited<ReturnType<typeof migratedDatabase>>;
  beforeEach(async () => {
    [garage, database] = await Promise.all([startGarage(), migratedDatabase()]);
  });
  afterEach(async () => {
    await Promise.all([garage.close(), database.close()]);
  });

  const configure = () =>
    configureObjectStore(database.db, garage.admin, {
      encryptionKey: new Secret('a1'.repeat(32)),
      endpoint: garage.s3Url,
      actor: 'tester',
    });

  test('a layout that was staged and not applied is completed', async () => {
    const { nodes } = await garage.admin.clusterStatus();
    await garage.call('POST', 'UpdateClusterLayout', {
      roles: [{ id: nodes[0]?.id, zone: 'local', capacity: 1_000_000_000, tags: [] }],
    });
    expect((await garage.admin.clusterStatus()).nodes).toEqual([expect.objectContaining({ hasRole: false })]);
    expect((await configure()).changed).toBe(true);
    expect((await garage.admin.clusterStatus()).nodes).toEqual([expect.objectContaining({ hasRole: true })]);
    expect((await configure()).changed).toBe(false);
  });

  test('a bucket on which the key may only read gets the rest of its permission', async () => {
    const { accessKeyId } = await configure();
    const bucketId = (await garage.admin.findBucket('kg-documents'))?.id;
    await garage.call('POST', 'DenyBucketKey', {
      bucketId,
      accessKeyId,
      permissions: { read: false, write: true, owner: false },
    });
    expect((await garage.admin.findBucket('kg-documents'))?.keys).toEqual([
      expect.objectContaining({ read: true, write: false }),
    ]);
    expect((await configure()).changed).toBe(true);
    expect((await garage.admin.findBucket('kg-documents'))?.keys).toEqual([
      { accessKeyId, read: true, write: true, owner: false },
    ]);
  });

  test('the credentials open the bucket over S3, others do not', async () => {
    const { accessKeyId, bucket, region } = await configure();
    const client = (secretAccessKey: string) =>
      new S3Client({
        endpoint: garage.s3Url,
        region,
        forcePathStyle: true,
        maxAttempts: 1,
        credentials: { accessKeyId, secretAccessKey },
      });
    const object = { Bucket: bucket, Key: 'a' };
    const ours = client((await garage.secretOf(accessKeyId)) ?? '');
    await ours.send(new PutObjectCommand({ ...object, Body: 'text' }));
    const { Body } = await ours.send(new GetObjectCommand(object));
    expect(await Body?.transformToString()).toBe('text');
    await expect(client('f'.repeat(64)).send(new GetObjectCommand(object))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 403 },
    });
  });

  test('a wrong token and an address where nobody is: the reason and the next command, never the token', async () => {
    const wrong = 'd'.repeat(64);
    const refused = await garageAdmin(garage.adminUrl, new Secret(wrong))
      .clusterStatus()
      .catch((error) => error);
    expect(refused).toMatchObject({
      code: 'GARAGE_REFUSED',
      exitCode: 7,
      hint: expect.stringContaining('.env'),
    });
    expect(`${refused.message} ${refused.hint}`).not.toContain(wrong);
    const nobody = garageAdmin('http://127.0.0.1:9', new Secret(wrong));
    await expect(nobody.clusterStatus()).rejects.toMatchObject({ code: 'GARAGE_UNREACHABLE', exitCode: 7 });
  });

  test('a second key of the same id is refused, without repeating its secret', async () => {
    const { accessKeyId } = await configure();
    const secret = 'e'.repeat(64);
    const failure = await garage.admin
      .importKey({ accessKeyId, secretAccessKey: new Secret(secret), name: 'again' })
      .catch((error) => error);
    expect(failure).toMatchObject({ code: 'GARAGE_REFUSED' });
    expect(failure.message).not.toContain(secret);
  });
});
