import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Secret } from '@kg-operator/config';
import { garageAdmin } from '../../packages/engine/src/adapters/garage.ts';
import { configureObjectStore } from '../../packages/engine/src/config/garage.ts';
import { objectStoreContract } from '../../packages/engine/test/contract/object-store.ts';
import { migratedDatabase } from '../../packages/engine/test/embedded-database.ts';
import { IMAGE, type RealGarage, startGarage } from './garage.ts';

jest.setTimeout(120_000);

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
