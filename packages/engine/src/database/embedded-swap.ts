import { existsSync } from 'node:fs';
import { open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { databaseFolder } from './embedded.ts';

/*
 * A restore puts another database in the place of the one in `postgres/` by two renames. Between the two there is no `postgres/`; whoever
 * opens the data directory next finds `postgres.swap.json` and finishes.
 */

/** Names of folders in the data directory. */
export interface Swap {
  /** Becomes `postgres`. */
  incoming: string;
  /** What `postgres` becomes. */
  outgoing: string;
}

const mark = (dataDirectory: string) => join(dataDirectory, 'postgres.swap.json');

/** Whether a swap was begun and not finished. */
export function isSwapping(dataDirectory: string): boolean {
  return existsSync(mark(dataDirectory));
}

/** Exchanges two databases that nobody has open: the caller holds the directory's lock. Again after it has happened, it changes nothing. */
export async function swapFolders(dataDirectory: string, swap: Swap): Promise<void> {
  const temporary = `${mark(dataDirectory)}.tmp`;
  await writeFile(temporary, `${JSON.stringify(swap)}\n`, { mode: 0o600 });
  await sync(temporary);
  await rename(temporary, mark(dataDirectory));
  await sync(dataDirectory);
  await finishSwap(dataDirectory);
}

/** Finishes a swap that was begun, if there is one. The caller holds the directory's lock. */
export async function finishSwap(dataDirectory: string): Promise<void> {
  if (!isSwapping(dataDirectory)) return;
  const { incoming, outgoing } = JSON.parse(await readFile(mark(dataDirectory), 'utf8')) as Swap;
  const [live, from, to] = [
    databaseFolder(dataDirectory),
    join(dataDirectory, incoming),
    join(dataDirectory, outgoing),
  ];
  // Each rename happened or not, in this order: what is there says how far it came.
  if (existsSync(from)) {
    if (existsSync(live)) await rename(live, to);
    await sync(dataDirectory);
    await rename(from, live);
    await sync(dataDirectory);
  }
  await rm(mark(dataDirectory));
  await sync(dataDirectory);
}

/** Folders of a data directory whose names begin so, sorted. */
export async function foldersOf(dataDirectory: string, prefix: string): Promise<string[]> {
  const entries = await readdir(dataDirectory, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory() && entry.name.startsWith(prefix))
    .map(({ name }) => name)
    .sort();
}

/** Makes what was written or renamed last. Windows can't open a folder, and needs none of this. */
async function sync(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
