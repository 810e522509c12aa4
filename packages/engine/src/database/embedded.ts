import { closeSync, existsSync, fsyncSync, openSync } from 'node:fs';
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { PGlite } from '@electric-sql/pglite';
import { EXIT, OperatorError } from '../model/errors.ts';
import { optimize } from './webassembly.ts';

/** Where in a data directory the database is. */
export function databaseFolder(dataDirectory: string): string {
  return join(dataDirectory, 'postgres');
}

/** There while a folder is being made: what a crash left then is no database, and nobody's data is in it. */
function creationMark(folder: string): string {
  return `${folder}.creating`;
}

/** Whether the folder is only what a creation that was cut short has left. */
export function isHalfMade(dataDirectory: string): boolean {
  return isHalfMadeFolder(databaseFolder(dataDirectory));
}

function isHalfMadeFolder(folder: string): boolean {
  return existsSync(creationMark(folder));
}

/** Whether a data directory holds a database that was completely made. */
export function hasDatabase(dataDirectory: string): boolean {
  return isWhole(databaseFolder(dataDirectory));
}

function isWhole(folder: string): boolean {
  return existsSync(join(folder, 'PG_VERSION')) && !isHalfMadeFolder(folder);
}

/**
 * Opens the embedded PostgreSQL with AGE of a data directory, and makes it first if there is none. Only one process may do so at a time:
 * the caller holds the directory's lock.
 * @throws OperatorError DATABASE_DAMAGED when the folder holds something that is no database
 */
export async function openEmbedded(dataDirectory: string): Promise<PGlite> {
  return openFolder(databaseFolder(dataDirectory));
}

/**
 * The same of any folder. A `durable` one survives a power cut.
 *
 * PGlite itself neither calls fsync (it starts PostgreSQL with -F) nor passes it on to the disk. Both are put right here, so that what
 * was committed survives a power cut as well as a kill.
 */
export async function openFolder(folder: string, { durable = true } = {}): Promise<PGlite> {
  // Loaded here: no command that does without should pay for it.
  const [{ PGlite }, { NodeFS }, { age }] = await Promise.all([
    import('@electric-sql/pglite'),
    import('@electric-sql/pglite/nodefs'),
    import('@electric-sql/pglite-age'),
  ]);

  class DurableFS extends NodeFS {
    override async init(...[pg, options]: Parameters<InstanceType<typeof NodeFS>['init']>) {
      const { emscriptenOpts } = await super.init(pg, options);
      const preRun = [emscriptenOpts.preRun ?? []].flat();
      preRun.push((module) => makeSyncReal(module as unknown as EmscriptenModule));
      return { emscriptenOpts: { ...emscriptenOpts, preRun } };
    }
  }

  const mark = creationMark(folder);
  const isNew = !isWhole(folder);
  if (isNew) {
    if (!isHalfMadeFolder(folder)) await assertNothingThere(folder);
    await rm(folder, { recursive: true, force: true });
    await (await open(mark, 'w', 0o600)).close();
    await mkdir(folder, { mode: 0o700 });
  }
  optimize();
  const pglite = await PGlite.create({
    fs: durable ? new DurableFS(folder) : new NodeFS(folder),
    extensions: { age },
    relaxedDurability: false,
    startParams: [
      ...PGlite.defaultStartParams.filter((parameter) => !durable || parameter !== '-F'),
      ...['-c', 'wal_sync_method=fsync'],
      // AGE's functions and operators are found through ag_catalog, as on every connection of config's poolConfig().
      ...['-c', 'search_path=public,ag_catalog'],
    ],
  });
  await pglite.exec("LOAD 'age'");
  if (isNew) {
    await pglite.exec('CHECKPOINT');
    await rm(mark);
  }
  return pglite;
}

/** Only what a creation that was cut short left behind is cleared away; files of which nobody knows what they are may be data. */
async function assertNothingThere(folder: string): Promise<void> {
  const names = existsSync(folder) ? await readdir(folder) : [];
  if (names.length === 0) return;
  throw new OperatorError(
    'DATABASE_DAMAGED',
    `${folder} holds files, but no PG_VERSION: it is no whole database`,
    {
      exitCode: EXIT.precondition,
      hint: 'put back what is missing from a copy, or move the folder away to begin anew',
    },
  );
}

/** The part of Emscripten's file system that is touched: https://emscripten.org/docs/api_reference/Filesystem-API.html */
interface EmscriptenModule {
  FS: {
    filesystems: {
      NODEFS: {
        stream_ops: { fsync?: (stream: { nfd?: number; node: unknown }) => number };
        realPath(node: unknown): string;
      };
    };
  };
}

/** Lets fsync of a file or folder reach the disk: Emscripten's NODEFS has none of its own, and then says that it was done. */
function makeSyncReal({ FS }: EmscriptenModule): void {
  const { NODEFS } = FS.filesystems;
  NODEFS.stream_ops.fsync = ({ nfd, node }) => {
    if (nfd !== undefined) fsyncSync(nfd);
    else if (process.platform !== 'win32') syncFolder(NODEFS.realPath(node));
    return 0;
  };
}

function syncFolder(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
