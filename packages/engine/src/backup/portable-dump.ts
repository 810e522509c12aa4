import type { ConnectionSettings } from '@kg-operator/config';
import type pg from 'pg';
import { connect, rowsOf, SESSION } from './database-connection.ts';
import {
  assertSupported,
  readGraphs,
  readSequences,
  readTables,
  type TableInfo,
} from './database-contents.ts';
import { withCounts } from './database-dump.ts';
import { dumpFailed } from './database-errors.ts';
import { countObjects, readIdentity } from './database-identity.ts';
import { openSnapshot } from './database-snapshot.ts';
import {
  CHUNK_LIST,
  chunkName,
  type DatabaseManifest,
  type DumpedTable,
  type DumpSink,
  type Progress,
} from './format.ts';
import { countRows, rowPieces } from './portable-rows.ts';
import { readSchema } from './portable-schema.ts';
import { writeChunks } from './table-chunks.ts';

export interface PortableDumpOptions {
  signal?: AbortSignal;
  onProgress?: ((progress: Progress) => void) | undefined;
  /** Called with a connection that sees exactly what is dumped. */
  onSnapshot?: ((client: pg.Client) => Promise<void>) | undefined;
}

/**
 * Writes the rows of the whole database, as they are at one moment, into the sink, over one connection and without PostgreSQL's programs:
 * the schema is what the migrations make, and only its names are noted. While it runs, whoever else uses an embedded database waits.
 * @throws OperatorError DUMP_FAILED, BACKUP_UNSUPPORTED, GRAPH_DAMAGED, DATABASE_UNREACHABLE; the sink's own error; the signal's reason
 */
export async function dumpPortable(
  settings: ConnectionSettings,
  sink: DumpSink,
  { signal, onProgress, onSnapshot }: PortableDumpOptions = {},
): Promise<DatabaseManifest> {
  const client = await connect(settings, signal);
  try {
    await assertSupported(client);
    await openSnapshot(client);
    // Between two transactions an embedded database may have been somebody else's, and forgets settings then.
    await client.query(SESSION);
    await onSnapshot?.(client);
    const manifest = {
      ...(await readIdentity(client)),
      sequences: await readSequences(client),
      objects: await countObjects(client),
      schema: await readSchema(client),
    };
    const graphs = await readGraphs(client);
    const tables = await dumpTables(client, await readTables(client), sink, onProgress);
    await sink.member(CHUNK_LIST, Buffer.from(`${JSON.stringify(tables, null, 1)}\n`));
    await rowsOf(client, 'COMMIT'); // the snapshot was held to the end
    return { ...manifest, tables, graphs: graphs.map((graph) => withCounts(graph, tables)) };
  } catch (error) {
    signal?.throwIfAborted();
    throw dumpFailed(error);
  } finally {
    await client.end();
  }
}

async function dumpTables(
  client: pg.Client,
  tables: TableInfo[],
  sink: DumpSink,
  onProgress: PortableDumpOptions['onProgress'],
): Promise<DumpedTable[]> {
  const total = tables.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  const count = (bytes: number) => {
    done += bytes;
    onProgress?.({ done, total: Math.max(done, total) });
  };
  let chunks = 0;
  const emit = async (bytes: Buffer): Promise<number> => {
    const number = chunks++;
    await sink.member(chunkName(number), bytes);
    return number;
  };
  const dumped: DumpedTable[] = [];
  for (const table of tables) dumped.push(await dumpTable(client, table, emit, count));
  return dumped;
}

async function dumpTable(
  client: pg.Client,
  { schema, name, columns, condition }: TableInfo,
  emit: (bytes: Buffer) => Promise<number>,
  count: (bytes: number) => void,
): Promise<DumpedTable> {
  const table = { schema, name, columns, ...(condition === null ? {} : { condition }) };
  let rows = 0;
  const counted = (async function* () {
    for await (const piece of rowPieces(client, table)) {
      rows += countRows(piece);
      yield piece;
    }
  })();
  const written = await writeChunks(counted, emit, count);
  return { ...table, rows, ...written };
}
