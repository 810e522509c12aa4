import { lstat, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isFileStore, type ObjectStoreSettings } from '@kg-operator/config';
import { openServer } from '../database/embedded-server.ts';
import type { RunContext } from '../run/context.ts';
import { syncPath } from './destination.ts';
import { documentBucket } from './installation.ts';
import { examineDatabase, removeStore } from './previous.ts';

/*
 * `postgres.before-…` is what a restore has put aside, `postgres.failed-…` what was taken back; `….json` beside it says where its documents
 * are, so that nobody has to open it for that.
 */
const PREVIOUS = /^postgres\.(?:before|failed)-[0-9a-z_-]+$/;

/** Databases that were put aside, oldest first, with their size in bytes. */
export async function previousFolders(dataDirectory: string): Promise<{ name: string; bytes: number }[]> {
  const names = (await readdir(dataDirectory)).filter((name) => PREVIOUS.test(name)).sort();
  return Promise.all(names.map(async (name) => ({ name, bytes: await sizeOf(join(dataDirectory, name)) })));
}

async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  let bytes = 0;
  for (const entry of entries)
    if (entry.isFile()) bytes += (await lstat(join(entry.parentPath, entry.name))).size;
  return bytes;
}

/** Writes down where the documents of a database are that is about to be put aside. */
export async function notePrevious(
  dataDirectory: string,
  name: string,
  store: ObjectStoreSettings,
): Promise<void> {
  const path = join(dataDirectory, `${name}.json`);
  await writeFile(`${path}.tmp`, `${JSON.stringify(store)}\n`, { mode: 0o600 });
  await syncPath(`${path}.tmp`);
  await rename(`${path}.tmp`, path);
}

export async function forgetPrevious(dataDirectory: string, name: string): Promise<void> {
  await rm(join(dataDirectory, `${name}.json`), { force: true });
}

/** Where the documents of all databases are that were put aside, but for one. */
export async function previousStores(dataDirectory: string, but?: string): Promise<ObjectStoreSettings[]> {
  const names = (await readdir(dataDirectory)).filter(
    (name) =>
      name.endsWith('.json') && PREVIOUS.test(name.slice(0, -'.json'.length)) && name !== `${but}.json`,
  );
  return Promise.all(names.map((name) => storeIn(join(dataDirectory, name))));
}

async function storeIn(path: string): Promise<ObjectStoreSettings> {
  return JSON.parse(await readFile(path, 'utf8')) as ObjectStoreSettings;
}

/** @throws OperatorError WRONG_ENCRYPTION_KEY, PREVIOUS_UNUSABLE */
export async function examineFolder(context: RunContext, name: string): Promise<void> {
  const server = await openServer(join(context.settings.dataDirectory, name), { durable: true });
  try {
    await examineDatabase(context, name, server.connection);
  } finally {
    await server.close();
  }
}

/** Removes a database that was put aside, and the documents that only it refers to. */
export async function dropPreviousFolder(context: RunContext, name: string): Promise<void> {
  const { dataDirectory } = context.settings;
  if (!PREVIOUS.test(name)) throw new Error(`${name} is no database that was put aside`);
  const { settings: current } = await documentBucket(context);
  const before = await storeIn(join(dataDirectory, `${name}.json`));
  const others = [current, ...(await previousStores(dataDirectory, name))];
  const isUsed = others.some(
    ({ endpoint, bucket }) => endpoint === before.endpoint && bucket === before.bucket,
  );
  if (!isUsed) {
    if (isFileStore(before))
      await rm(join(dataDirectory, before.endpoint.slice('file:'.length), before.bucket), {
        recursive: true,
        force: true,
      });
    else await removeStore(context, before, current);
  }
  await rm(join(dataDirectory, name), { recursive: true, force: true });
  await forgetPrevious(dataDirectory, name); // last: what is left by a kill still has its record
}
