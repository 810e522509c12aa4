import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { syncPath } from './destination.ts';
import { objectsOf } from './s3.ts';

/** An object as it is stored, without its bytes. */
export interface ObjectFacts {
  key: string;
  /** Bytes. */
  size: number;
  /** Null where the store keeps none: files. */
  contentType: string | null;
  /** Of the user's own, names in lower case. */
  metadata: Record<string, string>;
}

export interface StoredObject extends ObjectFacts {
  body: AsyncIterable<Uint8Array>;
}

/** The documents' store as a backup sees it: everything in it, and nothing about what it means. */
export interface ObjectBucket {
  /** For people. */
  address: string;
  /** Fails when it is not there or may not be used. */
  check(): Promise<void>;
  list(): AsyncIterable<{ key: string; size: number }>;
  /** Null: gone since it was listed. */
  get(key: string): Promise<StoredObject | null>;
  put(facts: ObjectFacts, body: AsyncIterable<Uint8Array>): Promise<void>;
  remove(key: string): Promise<void>;
}

/** Larger ones are sent in parts, so that memory stays bounded. */
const SINGLE_PUT_LIMIT = 8 << 20;

/** A bucket of an S3 server. */
export function s3Bucket(client: S3Client, bucket: string): ObjectBucket {
  const failed = (error: unknown) => storeFailed(bucket, error);
  return {
    address: `bucket ${bucket}`,
    async check() {
      await client.send(new HeadBucketCommand({ Bucket: bucket })).catch((error) => {
        throw failed(error);
      });
    },
    list: () => orElse(objectsOf(client, bucket), failed),
    async get(key) {
      try {
        const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
        return {
          key,
          size: answer.ContentLength ?? 0,
          contentType: answer.ContentType ?? null,
          metadata: answer.Metadata ?? {},
          body: orElse((answer.Body ?? Readable.from([])) as AsyncIterable<Uint8Array>, failed),
        };
      } catch (error) {
        if ((error as { name?: string }).name === 'NoSuchKey') return null;
        throw failed(error);
      }
    },
    async put({ key, size, contentType, metadata }, body) {
      const about = { Bucket: bucket, Key: key, ContentType: contentType ?? undefined, Metadata: metadata };
      try {
        if (size <= SINGLE_PUT_LIMIT) {
          await client.send(new PutObjectCommand({ ...about, Body: await collect(body) }));
          return;
        }
        const params = { ...about, Body: Readable.from(body, { objectMode: false }) };
        await new Upload({ client, params, queueSize: 2, partSize: SINGLE_PUT_LIMIT }).done();
      } catch (error) {
        throw failed(error);
      }
    },
    async remove(key) {
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key })).catch((error) => {
        throw failed(error);
      });
    },
  };
}

/** What is read, its failures named by `failed`. */
async function* orElse<T>(source: AsyncIterable<T>, failed: (error: unknown) => unknown): AsyncGenerator<T> {
  try {
    yield* source;
  } catch (error) {
    throw failed(error);
  }
}

function storeFailed(bucket: string, error: unknown): unknown {
  if (error instanceof OperatorError) return error; // of the bundle that is being put
  return new OperatorError('OBJECT_STORE_FAILED', `bucket ${bucket} failed: ${messageOf(error)}`, {
    exitCode: EXIT.unhealthy,
    hint: 'see that the object store runs and has space left (./operator.sh status, ./operator.sh logs garage), then try again',
    cause: error,
  });
}

/** Documents kept as files below a folder, as the API's store of files keeps them: names that begin with a dot are unfinished. */
export function fileBucket(folder: string): ObjectBucket {
  return {
    address: folder,
    check: async () => void (await mkdir(folder, { recursive: true, mode: 0o700 })),
    async *list() {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return [];
          throw error;
        },
      );
      for (const entry of entries) {
        if (!entry.isFile() || entry.name.startsWith('.')) continue;
        const path = join(entry.parentPath, entry.name);
        yield { key: relative(folder, path).split(sep).join('/'), size: (await stat(path)).size };
      }
    },
    async get(key) {
      const path = join(folder, key);
      const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return null;
        throw error;
      });
      if (!found) return null;
      return { key, size: found.size, contentType: null, metadata: {}, body: createReadStream(path) };
    },
    async put({ key }, body) {
      const path = join(folder, key);
      if (
        relative(folder, path).startsWith('..') ||
        key.split('/').some((part) => part === '' || part.startsWith('.'))
      )
        throw noFile(key);
      const partial = join(dirname(path), `.${randomUUID()}`);
      const file = await mkdir(dirname(path), { recursive: true, mode: 0o700 })
        .then(() => open(partial, 'wx', 0o600))
        .catch((error: NodeJS.ErrnoException) => {
          throw NO_NAME.includes(error.code ?? '') ? noFile(key, error) : error;
        });
      try {
        for await (const chunk of body) await file.writeFile(chunk);
        await file.sync();
      } catch (error) {
        await rm(partial, { force: true });
        throw error;
      } finally {
        await file.close();
      }
      await rename(partial, path).catch(async (error: NodeJS.ErrnoException) => {
        await rm(partial, { force: true });
        throw NO_NAME.includes(error.code ?? '') ? noFile(key, error) : error;
      });
      await syncPath(dirname(path));
    },
    remove: (key) => rm(join(folder, key), { force: true }),
  };
}

// What a file system says to a name that it can't have: too long, or a folder where a file is and the other way round.
const NO_NAME = [
  'ENAMETOOLONG',
  'ENOTDIR',
  'EISDIR',
  'EEXIST',
  'EINVAL',
  'ENOTEMPTY',
  'ERR_INVALID_ARG_VALUE',
];

function noFile(key: string, cause?: unknown): OperatorError {
  return new OperatorError('RESTORE_IMPOSSIBLE', `the object ${JSON.stringify(key)} can't be a file here`, {
    exitCode: EXIT.precondition,
    hint: 'nothing was changed: restore it into containers, which keep objects in a bucket',
    cause,
  });
}

export async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}
