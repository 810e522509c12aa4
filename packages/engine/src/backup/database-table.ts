import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { createZstdDecompress } from 'node:zlib';
import type pg from 'pg';
import { from } from 'pg-copy-streams';
import { qualified, rowsOf } from './database-connection.ts';
import { copyIn } from './database-contents.ts';
import { dumpDamaged, loadFailed } from './database-errors.ts';
import { CHUNK_LIMIT, type DumpedTable } from './format.ts';

/** A table that is being loaded. */
export interface TableLoad {
  /** Resolves when the next chunk is welcome. @throws what `ended` rejects with */
  write(chunk: Buffer): Promise<void>;
  /** No more chunks. */
  end(): void;
  /** Resolves when the rows are committed; rejects when they are not, and then nothing of them is there. */
  ended: Promise<void>;
}

/**
 * Begins to load a table through a connection that is its own until `release` is called with it.
 * `ended` rejects with OperatorError BACKUP_DAMAGED when the rows are not those of the manifest, or with the server's error.
 */
export function openTable(
  client: pg.Client,
  table: DumpedTable,
  { count, release }: { count: (bytes: number) => void; release: (client: pg.Client) => void },
): TableLoad {
  const zstd = decompressor();
  const ended = loadTable(client, table, zstd, count).finally(() => release(client));
  return { write: (chunk) => writeTo(zstd, chunk, ended), end: () => void zstd.end(), ended };
}

/**
 * The same within the caller's transaction, in which the table was truncated. Tables come one after the other; the last failure is the
 * caller's to roll back.
 */
export function openTableWithin(
  client: pg.Client,
  table: DumpedTable,
  count: (bytes: number) => void,
): TableLoad {
  const zstd = decompressor();
  const ended = copyRows(client, table, zstd, count).catch((error) => {
    throw refusedRows(table, error);
  });
  return { write: (chunk) => writeTo(zstd, chunk, ended), end: () => void zstd.end(), ended };
}

type Decompressor = ReturnType<typeof createZstdDecompress>;

export function decompressor(): Decompressor {
  // Room for a second chunk, so that the connections do not wait for each other.
  return createZstdDecompress({ chunkSize: 256 * 1024, writableHighWaterMark: CHUNK_LIMIT } as object);
}

export async function writeTo(zstd: Decompressor, chunk: Buffer, ended: Promise<void>): Promise<void> {
  // What ends the stream early ends `ended` with the reason.
  if (!zstd.write(chunk)) await Promise.race([once(zstd, 'drain'), ended]);
}

/** The rows of a table; it fails at the end of them unless they are those that were saved, so that nobody commits before. */
export async function* checkedRows(
  source: AsyncIterable<Buffer>,
  table: DumpedTable,
  count: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const part of source) {
    hash.update(part);
    bytes += part.length;
    if (bytes > table.bytes) break;
    count(part.length);
    yield part;
  }
  if (bytes !== table.bytes || hash.digest('hex') !== table.sha256)
    throw dumpDamaged(`the rows of ${table.schema}.${table.name} are not those that were saved`);
}

/** Why a table's rows could not be loaded, without any of their values. */
export function refusedRows({ schema, name }: DumpedTable, error: unknown): unknown {
  const { code = '' } = error as { code?: string };
  // node:zlib: Z_BUF_ERROR, ZSTD_error_…
  if (/^Z(?:_|STD)/.test(code))
    return dumpDamaged(`the rows of ${schema}.${name} can't be decompressed`, error);
  // A data exception or a violated constraint: the server's message quotes the row.
  if (/^2[23]...$/.test(code))
    return loadFailed(new Error(`the server refuses the rows of ${schema}.${name} (SQLSTATE ${code})`));
  return error;
}

async function loadTable(
  client: pg.Client,
  table: DumpedTable,
  zstd: Decompressor,
  count: (bytes: number) => void,
): Promise<void> {
  await client.query('BEGIN');
  try {
    if (table.condition === undefined) await rowsOf(client, `TRUNCATE ONLY ${qualified(table)}`);
    await copyRows(client, table, zstd, count);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined); // the first error is the one to report; a lost connection rolls back by itself
    throw refusedRows(table, error);
  }
}

/**
 * Truncated in the same transaction, a table is filled page by page, never back into gaps: reading it gives the rows in this order
 * (verifyDatabase() compares hashes). And the rows can be written frozen, which saves the first reader from touching every page.
 */
async function copyRows(
  client: pg.Client,
  table: DumpedTable,
  zstd: Decompressor,
  count: (bytes: number) => void,
): Promise<void> {
  const copy = client.query(from(`${copyIn(table)}${table.condition === undefined ? ' WITH (FREEZE)' : ''}`));
  await pipeline(zstd, (source: AsyncIterable<Buffer>) => checkedRows(source, table, count), copy);
  if (copy.rowCount !== table.rows)
    throw dumpDamaged(`${table.schema}.${table.name} has ${copy.rowCount} rows instead of ${table.rows}`);
}
