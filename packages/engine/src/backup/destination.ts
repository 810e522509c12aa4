import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';

/** A place that keeps files whole: one that is there under its name was written completely. */
export interface Destination {
  /** As a person named it. */
  name: string;
  /** Where it is, for people; no secret. */
  address: string;
  list(): Promise<{ name: string; size: number }[]>;
  read(name: string): Promise<AsyncIterable<Uint8Array>>;
  /** Copies a local file there, under that name; afterwards its size is compared. */
  putFile(name: string, path: string): Promise<void>;
  put(name: string, text: string): Promise<void>;
  /** A file that is not there is fine. */
  remove(name: string): Promise<void>;
  /** Null: it does not say. */
  freeBytes(): Promise<number | null>;
}

/** The suffix of a file that is being written: never taken for a backup, and removed by the next one. */
export const PARTIAL = '.partial';

/** A folder of this host. */
export function directoryDestination(name: string, folder: string): Destination {
  /** Written beside, synced, renamed: a crash leaves the old file or none, never half of one. */
  async function place(target: string, write: (partial: string) => Promise<void>): Promise<void> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const partial = join(folder, `${target}${PARTIAL}`);
    try {
      await write(partial);
      await syncPath(partial);
      await rename(partial, join(folder, target));
      await syncPath(folder);
    } catch (error) {
      await rm(partial, { force: true });
      throw asUnusable(name, folder, error);
    }
  }
  return {
    name,
    address: folder,
    async list() {
      const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return [];
        throw asUnusable(name, folder, error);
      });
      const files = names.filter((file) => !file.endsWith(PARTIAL));
      const found = await Promise.all(
        files.map(async (file) => ({ name: file, size: await sizeOf(join(folder, file)) })),
      );
      return found.flatMap(({ name, size }) => (size === null ? [] : [{ name, size }]));
    },
    async read(file) {
      const handle = await open(join(folder, file)).catch((error) => {
        throw asUnusable(name, folder, error);
      });
      return handle.createReadStream({ highWaterMark: 1 << 20 });
    },
    async putFile(target, path) {
      if (path === join(folder, target)) return;
      await removeUnfinished(folder, target);
      await place(target, (partial) =>
        pipeline(createReadStream(path), createWriteStream(partial, { mode: 0o600 })),
      );
      const [{ size: expected }, { size }] = await Promise.all([stat(path), stat(join(folder, target))]);
      if (size !== expected)
        throw asUnusable(name, folder, new Error(`${target} has ${size} bytes, not ${expected}`));
    },
    put: (target, text) =>
      place(target, async (partial) => {
        const file = await open(partial, 'w', 0o600);
        await file.writeFile(text).finally(() => file.close());
      }),
    remove: (file) => rm(join(folder, file), { force: true }),
    async freeBytes() {
      const { bavail, bsize } = await statfs(await existing(folder));
      return bavail * bsize;
    },
  };
}

/** The installation that a bundle's or record's name begins with; see backupId() in catalog.ts. */
function projectOf(name: string): string | undefined {
  return /^(.+)-\d{8}T\d{6}Z-[0-9a-f]{6}\./.exec(name)?.[1];
}

/** Removes what killed copies of the same installation's bundles have left; the folder may be shared with others. */
async function removeUnfinished(folder: string, bundle: string): Promise<void> {
  const project = projectOf(bundle);
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const name of names)
    if (name.endsWith(PARTIAL) && project !== undefined && projectOf(name) === project)
      await rm(join(folder, name), { force: true });
}

/** A text file of a destination. */
export async function readText(destination: Destination, name: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await destination.read(name)) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  await handle.sync().finally(() => handle.close());
}

/** Null: it was removed since the folder was listed. */
async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** The folder, or the nearest one above it that is there. */
export async function existing(folder: string): Promise<string> {
  return stat(folder).then(
    () => folder,
    () => existing(dirname(folder)),
  );
}

function asUnusable(name: string, folder: string, error: unknown): OperatorError {
  if (error instanceof OperatorError) return error;
  const full = (error as NodeJS.ErrnoException).code === 'ENOSPC';
  return new OperatorError(
    full ? 'DISK_FULL' : 'DESTINATION_UNUSABLE',
    `backups can't be kept in ${folder} (${name}): ${messageOf(error)}`,
    {
      exitCode: EXIT.precondition,
      hint: full ? 'free some space, or prune old backups: ./operator.sh backup prune' : 'check the folder',
      cause: error,
    },
  );
}
