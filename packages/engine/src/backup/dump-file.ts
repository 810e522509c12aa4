import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import type { Secret } from '@kg-operator/config';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';

/** What `pg_dump` writes into one file: a script for psql (`-Fp`), or an archive for pg_restore (`-Fc`, `-Ft`). */
export interface DumpFile {
  path: string;
  format: 'plain' | 'custom' | 'tar';
  compression: 'gzip' | 'zstd' | null;
  /** Of the file: bytes, and when it was last written, which is the best that is known of when it was made. */
  size: number;
  modifiedAt: Date;
}

/** A dump that a person wants restored, and what came of it. */
export interface DumpToRestore {
  file: DumpFile;
  /** The key that its credentials are sealed with, if it is not this installation's. */
  encryptionKey: Secret | null;
  /** Path of the bundle that dump-convert.ts has made of it. */
  converted?: string;
  /** How many of the documents that its rows refer to are not in the bucket. */
  missingDocuments: number;
}

/** Enough for the names in the first headers of a tar, and for the comment with which a script begins. */
const HEAD_BYTES = 4096;

/**
 * What kind of file that is, by its first bytes, whatever it is called: a bundle of ours (null), or a dump.
 * @throws OperatorError FILE_MISSING, FILE_UNKNOWN
 */
export async function recogniseFile(path: string): Promise<DumpFile | null> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new OperatorError('FILE_MISSING', `${path} can't be read: ${messageOf(error)}`, {
      exitCode: EXIT.precondition,
      hint: 'the operator sees only files beneath the installation; see ./operator.sh backup list for the backups that it knows',
      cause: error,
    });
  });
  if (found.isDirectory())
    throw unknown(path, 'a folder', 'of pg_dump -Fd make one file: pg_dump -Fc -f backup.dump');
  const outer = await firstBytes(createReadStream(path, { end: HEAD_BYTES - 1 }));
  if (isBundle(outer)) return null;
  const compression = compressionOf(path, outer);
  const file = { path, compression, size: found.size, modifiedAt: found.mtime };
  const head = compression ? await firstBytes(openDump({ ...file, format: 'plain' })) : outer;
  return { ...file, format: formatOf(path, head) };
}

/** The file's bytes, decompressed. Ends with OperatorError DUMP_DAMAGED where they can't be. */
export async function* openDump({ path, compression }: DumpFile): AsyncGenerator<Buffer> {
  const bytes = createReadStream(path, { highWaterMark: 1 << 20 });
  if (compression === null) {
    yield* bytes;
    return;
  }
  const chunkSize = 256 * 1024;
  const unpacked = compression === 'gzip' ? createGunzip({ chunkSize }) : createZstdDecompress({ chunkSize });
  bytes.once('error', (error) => unpacked.destroy(error));
  try {
    yield* bytes.pipe(unpacked) as Readable;
  } catch (error) {
    throw new OperatorError('DUMP_DAMAGED', `${basename(path)} can't be unpacked: ${messageOf(error)}`, {
      exitCode: EXIT.precondition,
      hint: 'use another copy of it; nothing was changed',
      cause: error,
    });
  } finally {
    bytes.destroy();
    unpacked.destroy();
  }
}

async function firstBytes(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= HEAD_BYTES) break;
  }
  return Buffer.concat(chunks).subarray(0, HEAD_BYTES);
}

/** https://age-encryption.org/v1, and its armor */
function isBundle(head: Buffer): boolean {
  return (
    startsWith(head, 'age-encryption.org/v1\n') || startsWith(head, '-----BEGIN AGE ENCRYPTED FILE-----')
  );
}

// Magic numbers: RFC 1952 §2.3.1, RFC 8878 §3.1.1, and file(1) for those that are refused.
function compressionOf(path: string, head: Buffer): DumpFile['compression'] {
  if (startsWith(head, '\x1f\x8b')) return 'gzip';
  if (startsWith(head, '\x28\xb5\x2f\xfd')) return 'zstd';
  for (const [name, magic] of [
    ['xz', '\xfd7zXZ\0'],
    ['bzip2', 'BZh'],
    ['lz4', '\x04\x22\x4d\x18'],
    ['zip', 'PK\x03\x04'],
  ] as const)
    if (startsWith(head, magic)) throw unknown(path, `packed with ${name}`, 'unpack it first');
  return null;
}

/** pg_dump's own signs: https://github.com/postgres/postgres/blob/REL_17_STABLE/src/bin/pg_dump/pg_backup_archiver.c */
function formatOf(path: string, head: Buffer): DumpFile['format'] {
  if (startsWith(head, 'PGDMP')) return 'custom';
  // A tar of pg_dump begins with its table of contents; `ustar` is at 257 in every tar.
  if (head.subarray(257, 262).toString('latin1') === 'ustar') {
    if (startsWith(head, 'toc.dat\0')) return 'tar';
    throw unknown(path, 'a tar of something else', 'give the file that pg_dump has written');
  }
  const text = head.toString('utf8');
  if (/^-- PostgreSQL database cluster dump\r?$/m.test(text))
    throw unknown(
      path,
      'what pg_dumpall writes: all databases and roles of a server',
      'dump the one database: pg_dump -f backup.sql kg',
    );
  if (/^-- PostgreSQL database dump\r?$/m.test(text) && !text.includes('\0')) return 'plain';
  throw unknown(
    path,
    'neither a backup of this platform nor a file of pg_dump',
    'give a .tar.age of ./operator.sh backup, or what pg_dump has written',
  );
}

function startsWith(head: Buffer, magic: string): boolean {
  return head.subarray(0, magic.length).toString('latin1') === magic;
}

function unknown(path: string, what: string, hint: string): OperatorError {
  return new OperatorError('FILE_UNKNOWN', `${basename(path)} is ${what}`, {
    exitCode: EXIT.precondition,
    hint,
  });
}
