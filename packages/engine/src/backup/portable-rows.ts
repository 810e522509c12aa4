import pg from 'pg';
import { to } from 'pg-copy-streams';
import { qualified, rowsOf } from './database-connection.ts';
import type { DumpedTable } from './format.ts';

/** About so many bytes are asked for at once. */
const PIECE_BYTES = 4 * 1024 * 1024;
const NEWLINE = 0x0a;

/**
 * A table's rows as `COPY` text, in the order in which they lie in it, piece by piece. An embedded database can't be told to wait while it
 * answers: whatever one statement gives is in memory at once, so each statement asks only for some pages. In a transaction of one
 * snapshot, or where nobody writes.
 */
export async function* rowPieces(
  client: pg.Client,
  { columns, condition, ...table }: Pick<DumpedTable, 'schema' | 'name' | 'columns' | 'condition'>,
): AsyncGenerator<Buffer> {
  const list = columns.map(pg.escapeIdentifier).join(', ');
  const select = `SELECT ${list} FROM ONLY ${qualified(table)}`;
  if (condition !== undefined) {
    yield await answerOf(client, `COPY (${select} ${condition}) TO STDOUT`);
    return;
  }
  const [size] = await rowsOf<{ pages: number; bytes: number }>(
    client,
    `SELECT pg_catalog.pg_relation_size(t)::float8 / current_setting('block_size')::int AS pages, pg_catalog.pg_table_size(t)::float8 AS bytes
     FROM (SELECT $1::regclass AS t) AS named`,
    [qualified(table)],
  );
  const { pages = 0, bytes = 0 } = size ?? {};
  const step = Math.max(1, Math.floor((pages * PIECE_BYTES) / Math.max(bytes, 1)));
  for (let from = 0; from < pages; from += step) {
    // The last piece is open: whoever else may write adds pages that this snapshot does not see.
    const end = from + step < pages ? ` AND ctid < '(${from + step},0)'::tid` : '';
    const text = await answerOf(client, `COPY (${select} WHERE ctid >= '(${from},0)'::tid${end}) TO STDOUT`);
    if (text.length > 0) yield text;
  }
}

async function answerOf(client: pg.Client, statement: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  // The last row is not yet the end of the answer.
  const ready = new Promise<void>((resolve) => {
    const settle = () => {
      client.off('drain', settle).off('end', settle);
      resolve();
    };
    client.on('drain', settle).on('end', settle);
  });
  for await (const part of client.query(to(statement)) as AsyncIterable<Buffer>) parts.push(part);
  await ready;
  return Buffer.concat(parts);
}

/** How many rows a piece of `COPY` text has: a newline ends each, and one that is data is written `\n`. */
export function countRows(text: Buffer): number {
  let rows = 0;
  for (let at = text.indexOf(NEWLINE); at >= 0; at = text.indexOf(NEWLINE, at + 1)) rows += 1;
  return rows;
}

/** The same bytes in pieces of whole rows, of about PIECE_BYTES, or of one row that is longer. */
export async function* wholeRows(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (const part of bytes) {
    const end = size + part.length >= PIECE_BYTES ? part.lastIndexOf(NEWLINE) + 1 : 0;
    if (end > 0) {
      yield Buffer.concat([...parts, part.subarray(0, end)]);
      parts = [];
      size = 0;
    }
    parts.push(part.subarray(end));
    size += part.length - end;
  }
  if (size > 0) yield Buffer.concat(parts);
}
