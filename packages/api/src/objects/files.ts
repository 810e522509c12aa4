import { randomUUID } from 'node:crypto';
import { access, constants, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ObjectStore } from './index.ts';

/** Lower-case, so that no two keys are one file where case does not count; nothing that begins with a dot. */
const SEGMENT = /^[a-z0-9][a-z0-9._-]{0,127}$/;
/** Names that are devices on Windows, whatever follows a dot: https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file */
const DEVICE = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/;

/** Objects as files below the folders given. `put` has reached the disk when it resolves; a crash leaves the old object or the new one. */
export function fileStore(...folders: string[]): ObjectStore {
  const root = join(...folders);
  return {
    async put(key, body) {
      const path = pathOf(root, key);
      const folder = dirname(path);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const temporary = join(folder, `.${randomUUID()}`);
      try {
        const file = await open(temporary, 'wx', 0o600);
        try {
          await file.writeFile(body);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(temporary, path);
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
      await syncFolder(folder);
    },
    async get(key) {
      try {
        return await readFile(pathOf(root, key));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      }
    },
    async delete(key) {
      await rm(pathOf(root, key), { force: true });
    },
    async check() {
      await mkdir(root, { recursive: true, mode: 0o700 });
      await access(root, constants.R_OK | constants.W_OK);
    },
    close() {},
  };
}

/** @throws TypeError for a key that is not safe as a path on every system. */
function pathOf(root: string, key: string): string {
  const segments = key.split('/');
  if (!segments.every((segment) => SEGMENT.test(segment) && !DEVICE.test(segment) && !segment.endsWith('.')))
    throw new TypeError('not a key that can be a file');
  return join(root, ...segments);
}

/** Makes a rename last. Windows can't open a folder, and needs none of this. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
