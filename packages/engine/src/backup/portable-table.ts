import { randomBytes } from 'node:crypto';
import type { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import { qualified, rowsOf } from './database-connection.ts';
import { dumpDamaged } from './database-errors.ts';
import { checkedRows, decompressor, refusedRows, type TableLoad, writeTo } from './database-table.ts';
import type { DumpedTable } from './format.ts';
import { wholeRows } from './portable-rows.ts';

/** Statements that put a piece of rows into a table; PGlite reads and writes `/dev/blob` where a server has STDIN and STDOUT. */
export interface LoadStatements {
  /** Takes a piece. */
  copy: string;
  /** Where the table does not take it itself: makes the table that does, gives its rows in binary form, takes those, and empties it. */
  staged: { begin: string; out: string; into: string; empty: string } | null;
}

/**
 * Begins to load a table into an embedded database, within a transaction that is already open on its one session.
 * `ended` rejects with OperatorError BACKUP_DAMAGED when the rows are not those of the manifest, or with the database's error.
 */
export function openEmbeddedTable(
  pglite: PGlite,
  table: DumpedTable,
  { copy, staged }: LoadStatements,
  count: (bytes: number) => void,
): TableLoad {
  const zstd = decompressor();
  const load = async () => {
    if (staged) await pglite.exec(staged.begin);
    let rows = 0;
    for await (const piece of wholeRows(checkedRows(zstd, table, count))) {
      const { affectedRows } = await pglite.query(copy, [], { blob: new Blob([new Uint8Array(piece)]) });
      rows += affectedRows ?? 0;
      if (!staged) continue;
      const { blob } = await pglite.query(staged.out);
      if (!blob) throw new Error('COPY to /dev/blob gave none');
      await pglite.query(staged.into, [], { blob });
      await pglite.exec(staged.empty);
    }
    if (rows !== table.rows)
      throw dumpDamaged(`${table.schema}.${table.name} has ${rows} rows instead of ${table.rows}`);
  };
  const ended = load().catch((error) => {
    zstd.destroy();
    throw refusedRows(table, error);
  });
  return { write: (chunk) => writeTo(zstd, chunk, ended), end: () => void zstd.end(), ended };
}

/**
 * AGE on 32 bits writes an id of a graph as text, but can't read one that is 2^31 or more: `ag_catalog._graphid(label, entry)` makes it of its
 * two halves. From there it goes on in binary form by another COPY, not by INSERT, which would put short rows back into gaps: the order must
 * stay.
 */
export async function loadStatements(client: pg.Client, table: DumpedTable): Promise<LoadStatements> {
  const list = table.columns.map(pg.escapeIdentifier).join(', ');
  const from = `FROM '/dev/blob'`;
  const types = await rowsOf<{ name: string; type: string; graphid: boolean }>(
    client,
    `SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       coalesce(a.atttypid = to_regtype('ag_catalog.graphid'), false) AS graphid
     FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1::regclass AND a.attname = ANY ($2)`,
    [qualified(table), table.columns],
  );
  if (!types.some(({ graphid }) => graphid))
    return { copy: `COPY ${qualified(table)} ${list && `(${list})`} ${from}`, staged: null };
  const columns = table.columns.map((name) => {
    const { type, graphid } = types.find((column) => column.name === name) ?? { type: '', graphid: false };
    const column = pg.escapeIdentifier(name);
    return {
      definition: `${column} ${graphid ? 'bigint' : type}`,
      value: graphid
        ? `ag_catalog._graphid(((${column} >> 48) & 65535)::int, ${column} & ((1::bigint << 48) - 1))`
        : column,
    };
  });
  // Tables whose chunks interleave are under way at once.
  const name = `kg_rows_${randomBytes(6).toString('hex')}`;
  const staging = `pg_temp.${name}`;
  return {
    copy: `COPY ${staging} (${list}) ${from}`,
    staged: {
      begin: `CREATE TEMPORARY TABLE ${name} (${columns.map(({ definition }) => definition).join(', ')}) ON COMMIT DROP`,
      out: `COPY (SELECT ${columns.map(({ value }) => value).join(', ')} FROM ${staging}) TO '/dev/blob' (FORMAT binary)`,
      into: `COPY ${qualified(table)} (${list}) ${from} (FORMAT binary)`,
      empty: `TRUNCATE ${staging}`,
    },
  };
}
