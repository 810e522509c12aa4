import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import type { DumpedTable } from './format.ts';

// Level 2 takes two thirds of the time of level 3, zstd's own default; its output was between a tenth smaller and a tenth larger.
const LEVEL = 2;
// Far below CHUNK_LIMIT: what waits in memory, here and in the load, is a few of them per job.
const CHUNK_BYTES = 2 * 1024 * 1024;

/**
 * Compresses a table's rows, `COPY` text in pieces of any size, into chunks; `emit` stores one and returns its number.
 * @param count told of the bytes of each piece
 * @returns what the manifest says of them: bytes and SHA-256 before compression, and the numbers; no chunk for a table without a row
 */
export async function writeChunks(
  rows: AsyncIterable<Buffer>,
  emit: (bytes: Buffer) => Promise<number>,
  count: (bytes: number) => void,
): Promise<Pick<DumpedTable, 'bytes' | 'sha256' | 'chunks'>> {
  const hash = createHash('sha256');
  let bytes = 0;
  const chunks: number[] = [];
  await pipeline(
    rows,
    async function* (source: AsyncIterable<Buffer>) {
      for await (const piece of source) {
        hash.update(piece);
        bytes += piece.length;
        count(piece.length);
        yield piece;
      }
    },
    createZstdCompress({ chunkSize: 256 * 1024, params: { [constants.ZSTD_c_compressionLevel]: LEVEL } }),
    async (compressed: AsyncIterable<Buffer>) => {
      for await (const chunk of inChunks(compressed)) if (bytes > 0) chunks.push(await emit(chunk));
    },
  );
  return { bytes, sha256: hash.digest('hex'), chunks };
}

async function* inChunks(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (const part of source) {
    parts.push(part);
    size += part.length;
    if (size < CHUNK_BYTES) continue;
    yield Buffer.concat(parts);
    parts = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(parts);
}
