import type { ConnectionSettings } from '@kg-operator/config';
import { qualified, rowsOf, together } from './database-connection.ts';
import { dumpDamaged, loadFailed } from './database-errors.ts';
import { openPool, type Pool } from './database-pool.ts';
import { assertLoadable } from './database-preflight.ts';
import {
  createRoles,
  hasOwner,
  insertGraphs,
  setDatabaseSettings,
  setSequences,
} from './database-restore.ts';
import { restorePostData, restorePreData } from './database-schema.ts';
import { openTable, type TableLoad } from './database-table.ts';
import {
  CHUNK_LIST,
  chunkName,
  type DatabaseManifest,
  type DumpedTable,
  type DumpSource,
  POST_DATA,
  PRE_DATA,
  type Progress,
} from './format.ts';

export interface LoadOptions {
  /** How many indexes are built and tables analysed at once. Rows are loaded as they come: as many tables at once as were dumped. */
  jobs?: number;
  signal?: AbortSignal;
  onProgress?: ((progress: Progress) => void) | undefined;
}

export interface Loaded {
  /** Roles that had to be made. They can't log in: nobody knows their passwords. */
  createdRoles: string[];
}

/**
 * Loads a dump into an empty database. Every table's rows are hashed while they go in, and a table whose rows are not those of the
 * manifest is rolled back. After a failure the database is of no use.
 * @param settings of a database that exists and is empty, as a superuser
 * @throws OperatorError BACKUP_DAMAGED, RESTORE_IMPOSSIBLE, LOAD_FAILED, DATABASE_UNREACHABLE, POSTGRESQL_CLIENT_MISSING,
 *   POSTGRESQL_CLIENT_FAILED; the source's own error; the signal's reason
 */
export async function loadDatabase(
  settings: ConnectionSettings,
  source: DumpSource,
  manifest: DatabaseManifest,
  options: LoadOptions = {},
): Promise<Loaded> {
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  try {
    return await load(settings, source, manifest, { ...options, signal }, (reason) => stop.abort(reason));
  } catch (error) {
    options.signal?.throwIfAborted();
    throw loadFailed(error);
  } finally {
    stop.abort(); // ends the connections that are still open
  }
}

async function load(
  settings: ConnectionSettings,
  source: DumpSource,
  manifest: DatabaseManifest,
  { jobs = 2, signal, onProgress }: LoadOptions & { signal: AbortSignal },
  stop: (reason: unknown) => void,
): Promise<Loaded> {
  const owners = chunkOwners(manifest.tables);
  // Every table that is under way has a connection of its own, so no chunk ever waits for one of another table.
  const pool = await openPool(settings, Math.max(1, jobs, widest(manifest.tables)), signal);
  const { createdRoles, keepOwners } = await pool.use(async (client) => {
    await assertLoadable(client, manifest);
    return {
      keepOwners: await hasOwner(client, manifest),
      createdRoles: await createRoles(client, manifest.roles),
    };
  });
  const restore = { graphs: manifest.graphs, keepOwners, signal };

  const total = manifest.tables.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  const count = (bytes: number) => {
    done += bytes;
    onProgress?.({ done, total });
  };
  const postData = await loadMembers(source, owners, {
    preData: async (archive) => {
      await restorePreData(settings, archive, restore);
      await pool.use((client) => insertGraphs(client, manifest.graphs));
    },
    open: async (table) => openTable(await pool.take(), table, { count, release: pool.give }),
    stop,
  });
  await pool.use((client) => setSequences(client, manifest.sequences));
  await restorePostData(settings, postData, { ...restore, jobs });
  await analyze(pool, manifest.tables, jobs);
  await pool.use((client) => setDatabaseSettings(client, manifest.settings));
  await pool.end();
  return { createdRoles };
}

export interface Receivers {
  /** Not there: the schema is made already, and archives of it are passed over. */
  preData?(archive: Buffer): Promise<void>;
  open(table: DumpedTable): Promise<TableLoad>;
  /** Ends every connection. */
  stop(reason: unknown): void;
}

/** Hands each member to where it belongs. Returns the archive for after the data, if there is one, once every table's load has ended. */
export async function loadMembers(source: DumpSource, owners: DumpedTable[], to: Receivers): Promise<Buffer> {
  let isPrepared = to.preData === undefined;
  let postData: Buffer | undefined = isPrepared ? Buffer.alloc(0) : undefined;
  let next = 0;
  const open = new Map<DumpedTable, TableLoad>();
  const loads: Promise<void>[] = [];
  let failure: { error: unknown } | undefined;
  const begin = async (table: DumpedTable) => {
    const load = await to.open(table);
    open.set(table, load);
    const ended = load.ended.catch((error) => {
      failure ??= { error };
    });
    loads.push(ended);
    return load;
  };
  try {
    for await (const { name, bytes } of source) {
      if (failure) throw failure.error;
      if (name === PRE_DATA) {
        await to.preData?.(bytes);
        isPrepared = true;
      } else if (name === POST_DATA) postData = bytes;
      else if (name !== CHUNK_LIST) {
        const table = owners[next];
        if (!table || name !== chunkName(next) || !isPrepared)
          throw dumpDamaged(`${name} comes where ${table ? chunkName(next) : 'nothing more'} is expected`);
        const load = open.get(table) ?? (await begin(table));
        await load.write(bytes);
        if (next === table.chunks.at(-1)) {
          load.end();
          open.delete(table);
        }
        next++;
      }
    }
    if (!isPrepared || !postData || next < owners.length)
      throw dumpDamaged(`it ends before ${!isPrepared ? PRE_DATA : !postData ? POST_DATA : chunkName(next)}`);
    await Promise.all(loads);
    if (failure) throw (failure as { error: unknown }).error;
    return postData;
  } catch (error) {
    to.stop(error);
    await Promise.all(loads); // nothing goes on behind the caller's back
    throw error;
  }
}

/** Which table each chunk belongs to. @throws OperatorError BACKUP_DAMAGED unless each belongs to one */
export function chunkOwners(tables: DumpedTable[]): DumpedTable[] {
  const count = tables.reduce((sum, { chunks }) => sum + chunks.length, 0);
  const owners: DumpedTable[] = [];
  for (const table of tables)
    for (const [index, chunk] of table.chunks.entries()) {
      const isInOrder = index === 0 || chunk > (table.chunks[index - 1] as number);
      if (!isInOrder || owners[chunk] || chunk < 0 || chunk >= count)
        throw dumpDamaged(`its manifest does not tell whose ${chunkName(chunk)} is`);
      owners[chunk] = table;
    }
  return owners;
}

/** How many tables are under way at once at most: the `jobs` of the dump. */
export function widest(tables: DumpedTable[]): number {
  const events = tables.flatMap(({ chunks }) =>
    chunks.length > 0
      ? [
          { at: chunks[0] as number, change: 1 },
          { at: (chunks.at(-1) as number) + 1, change: -1 },
        ]
      : [],
  );
  // Where one ends another may begin: the end counts first.
  events.sort((a, b) => a.at - b.at || a.change - b.change);
  let open = 0;
  let most = 0;
  for (const { change } of events) {
    open += change;
    most = Math.max(most, open);
  }
  if (most > MOST_TABLES_AT_ONCE) throw dumpDamaged(`${most} tables interleave`);
  return most;
}

// A server allows 100 connections; no dump is made with so many jobs.
const MOST_TABLES_AT_ONCE = 64;

/** Statistics for the planner, `jobs` tables at once. */
async function analyze(pool: Pool, tables: DumpedTable[], jobs: number): Promise<void> {
  const waiting = tables.filter(({ rows }) => rows > 0);
  const work = async () => {
    for (let table = waiting.shift(); table; table = waiting.shift()) {
      const statement = `ANALYZE ${qualified(table)}`;
      await pool.use((client) => rowsOf(client, statement));
    }
  };
  await together(Array.from({ length: jobs }, work), () => {});
}
