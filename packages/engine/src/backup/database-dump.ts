import type { ConnectionSettings } from '@kg-operator/config';
import type pg from 'pg';
import { to } from 'pg-copy-streams';
import { connect, qualified, rowsOf, together } from './database-connection.ts';
import {
  assertSupported,
  assertViewsCanBeMade,
  copyOut,
  readGraphs,
  readSequences,
  readTables,
  type TableInfo,
} from './database-contents.ts';
import { dumpFailed } from './database-errors.ts';
import { countObjects, readIdentity } from './database-identity.ts';
import { runProgram } from './database-programs.ts';
import { LOCK_WAIT_MS, lockTables, openSnapshot } from './database-snapshot.ts';
import {
  CHUNK_LIST,
  chunkName,
  type DatabaseManifest,
  type DumpedTable,
  type DumpSink,
  POST_DATA,
  PRE_DATA,
  type Progress,
} from './format.ts';
import { readSchema } from './portable-schema.ts';
import { writeChunks } from './table-chunks.ts';

export interface DumpOptions {
  /** How many tables are read at once. */
  jobs?: number;
  signal?: AbortSignal;
  onProgress?: ((progress: Progress) => void) | undefined;
  /** Called with the exported snapshot, for `SET TRANSACTION SNAPSHOT`: who reads in it sees exactly what is dumped. */
  onSnapshot?: ((snapshot: string) => Promise<void>) | undefined;
}

// Of what node reads from a connection before it waits for the compression.
const READ_AHEAD = 1024 * 1024;

/**
 * Writes the whole database, as it is at one moment, into the sink: schema before and after the data, then the tables' rows in chunks.
 * At most `jobs` tables are under way at once, so the chunks of at most so many interleave: loadDatabase() counts on it. Nobody can
 * change the schema meanwhile; reading and writing rows goes on.
 * @returns what it held, for verification
 * @throws OperatorError DUMP_FAILED, BACKUP_UNSUPPORTED, GRAPH_DAMAGED, DATABASE_UNREACHABLE, POSTGRESQL_CLIENT_MISSING,
 *   POSTGRESQL_CLIENT_FAILED; the sink's own error; the signal's reason
 */
export async function dumpDatabase(
  settings: ConnectionSettings,
  sink: DumpSink,
  options: DumpOptions = {},
): Promise<DatabaseManifest> {
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  try {
    return await dump(settings, sink, { ...options, signal }, (reason) => stop.abort(reason));
  } catch (error) {
    options.signal?.throwIfAborted();
    throw dumpFailed(error);
  } finally {
    stop.abort(); // ends the connections that are still open
  }
}

async function dump(
  settings: ConnectionSettings,
  sink: DumpSink,
  { jobs = 2, signal, onProgress, onSnapshot }: DumpOptions & { signal: AbortSignal },
  stop: (reason: unknown) => void,
): Promise<DatabaseManifest> {
  const main = await connect(settings, signal);
  // The locks go with the connection, and with them the promise that nobody changes the schema.
  main.on('error', stop);
  await assertSupported(main);
  const { snapshot, locked } = await openSnapshot(main);
  await assertViewsCanBeMade(main);
  await onSnapshot?.(snapshot);
  const tables = await readTables(main);
  const workers: pg.Client[] = [];
  for (let job = 0; job < Math.min(jobs, tables.length); job++) {
    const worker = await connect(settings, signal);
    await worker.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    await worker.query(`SET TRANSACTION SNAPSHOT '${snapshot}'`);
    await lockTables(worker, locked);
    workers.push(worker);
  }
  const manifest = {
    ...(await readIdentity(main)),
    sequences: await readSequences(main),
    objects: await countObjects(main),
    schema: await readSchema(main),
  };
  const graphs = await readGraphs(main);

  const schema = (section: string) =>
    runProgram(
      'pg_dump',
      [
        '--format=custom',
        `--section=${section}`,
        `--snapshot=${snapshot}`,
        '--no-password',
        '--no-tablespaces',
        `--lock-wait-timeout=${LOCK_WAIT_MS}`,
      ],
      { settings, signal },
    );
  const archives: Buffer[] = [];
  const sections = ['pre-data', 'post-data'].map(async (section, index) => {
    archives[index] = await schema(section);
  });
  await together(sections, stop);
  await sink.member(PRE_DATA, archives[0] as Buffer);
  await sink.member(POST_DATA, archives[1] as Buffer);

  const dumped = await dumpTables(workers, tables, sink, { stop, onProgress });
  await sink.member(CHUNK_LIST, Buffer.from(`${JSON.stringify(dumped, null, 1)}\n`));
  await rowsOf(main, 'SELECT 1'); // the locks were held to the end
  await Promise.all([main, ...workers].map((client) => client.end()));
  return { ...manifest, tables: dumped, graphs: graphs.map((graph) => withCounts(graph, dumped)) };
}

/** The rows of all tables, by as many connections as are given; in the order in which readTables() gave them. */
async function dumpTables(
  workers: pg.Client[],
  tables: TableInfo[],
  sink: DumpSink,
  { stop, onProgress }: Pick<DumpOptions, 'onProgress'> & { stop: (reason: unknown) => void },
): Promise<DumpedTable[]> {
  const total = tables.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  const count = (bytes: number) => {
    done += bytes;
    onProgress?.({ done, total: Math.max(done, total) });
  };

  let chunks = 0;
  let written = Promise.resolve();
  // One member after the other, numbered in the order in which they are stored.
  const emit = async (bytes: Buffer): Promise<number> => {
    const number = chunks++;
    const turn = written.then(() => sink.member(chunkName(number), bytes));
    written = turn;
    await turn;
    return number;
  };

  const waiting = [...tables.entries()];
  const dumped: DumpedTable[] = [];
  const work = async (worker: pg.Client) => {
    for (let next = waiting.shift(); next; next = waiting.shift())
      dumped[next[0]] = await dumpTable(worker, next[1], emit, count);
  };
  await together(workers.map(work), stop);
  return dumped;
}

async function dumpTable(
  client: pg.Client,
  { schema, name, columns, condition }: TableInfo,
  emit: (bytes: Buffer) => Promise<number>,
  count: (bytes: number) => void,
): Promise<DumpedTable> {
  const table = { schema, name, columns, ...(condition === null ? {} : { condition }) };
  const rows = client.query(to(copyOut(table), { highWaterMark: READ_AHEAD }));
  const written = await writeChunks(rows, emit, count);
  // The count arrives after the last row. The next answer on this connection comes after it.
  await rowsOf(client, 'SELECT 1');
  return { ...table, rows: rows.rowCount, ...written };
}

export function withCounts(
  graph: Omit<DatabaseManifest['graphs'][number], 'vertices' | 'edges'>,
  tables: DumpedTable[],
): DatabaseManifest['graphs'][number] {
  const labels = graph.labels.map((label) => {
    const table = tables.find(({ schema, name }) => schema === graph.schema && name === label.table);
    if (!table)
      throw new Error(
        `the label table ${qualified({ schema: graph.schema, name: label.table })} was not dumped`,
      );
    return { ...label, rows: table.rows };
  });
  const sum = (kind: 'v' | 'e') =>
    labels.reduce((total, label) => (label.kind === kind ? total + label.rows : total), 0);
  return { ...graph, labels, vertices: sum('v'), edges: sum('e') };
}
