import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import type { Secret } from '@kg-operator/config';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import type { Destination } from './destination.ts';

export interface S3Address {
  endpoint: string;
  region: string;
  bucket: string;
  accessKeyId: string;
  secretAccessKey: Secret;
}

/** A client of any S3 server, addressed by path, as Garage and MinIO want it. */
export function s3Client({ endpoint, region, accessKeyId, secretAccessKey }: S3Address): S3Client {
  return new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey: secretAccessKey.reveal() },
    maxAttempts: 4,
    requestHandler: { connectionTimeout: 5_000, requestTimeout: 60_000 },
    // Only AWS itself promises to know the newer checksums: https://github.com/aws/aws-sdk-js-v3/issues/6810
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}

/** A prefix of a bucket. */
export function s3Destination(name: string, address: S3Address, prefix: string): Destination {
  const { bucket, endpoint } = address;
  const client = s3Client(address);
  const where = `s3 bucket ${bucket}${prefix ? ` (${prefix})` : ''} at ${endpoint}`;
  const key = (file: string) => `${prefix}${file}`;
  async function ask<T>(what: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw new OperatorError(
        'DESTINATION_UNUSABLE',
        `${what} ${where} (${name}) failed: ${messageOf(error)}`,
        { exitCode: EXIT.unhealthy, hint: 'check address, bucket and credentials', cause: error },
      );
    }
  }
  return {
    name,
    address: where,
    list: () =>
      ask('listing', async () => {
        const found: { name: string; size: number }[] = [];
        for await (const { key: path, size } of objectsOf(client, bucket, prefix))
          found.push({ name: path.slice(prefix.length), size });
        return found;
      }),
    read: (file) =>
      ask('reading from', async () => {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key(file) }));
        if (!Body) throw new Error('the answer had no body');
        return Body as unknown as AsyncIterable<Uint8Array>;
      }),
    putFile: (file, path) =>
      ask('writing to', async () => {
        await new Upload({
          client,
          params: { Bucket: bucket, Key: key(file), Body: createReadStream(path) },
          queueSize: 2,
          partSize: 16 << 20,
        }).done();
        const [{ size }, { ContentLength }] = await Promise.all([
          stat(path),
          client.send(new HeadObjectCommand({ Bucket: bucket, Key: key(file) })),
        ]);
        if (ContentLength !== size) throw new Error(`${file} has ${ContentLength} bytes there, not ${size}`);
      }),
    put: (file, text) =>
      ask('writing to', async () => {
        await new Upload({ client, params: { Bucket: bucket, Key: key(file), Body: text } }).done();
      }),
    remove: (file) =>
      ask('deleting from', async () => {
        await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key(file) }));
      }),
    freeBytes: async () => null,
  };
}

/** Every object of a bucket below a prefix, in order of keys. */
export async function* objectsOf(
  client: S3Client,
  bucket: string,
  prefix = '',
): AsyncGenerator<{ key: string; size: number }> {
  let token: string | undefined;
  do {
    const page = await client.send(
      new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ContinuationToken: token }),
    );
    for (const { Key, Size } of page.Contents ?? [])
      if (Key !== undefined) yield { key: Key, size: Size ?? 0 };
    token = page.IsTruncated ? page.NextContinuationToken : undefined;
  } while (token !== undefined);
}
