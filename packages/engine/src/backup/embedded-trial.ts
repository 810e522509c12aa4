import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openServer } from '../database/embedded-server.ts';
import { foldersOf } from '../database/embedded-swap.ts';
import type { RunContext } from '../run/context.ts';
import { fileBucket } from './object-store.ts';
import type { LoadTarget } from './read.ts';

export const TRIAL_PREFIX = 'backup-trial-';

/**
 * Runs with an embedded database and a folder for objects, in a folder of the data directory that is removed afterwards. Those that a
 * killed run left behind are removed first: the caller holds the plans' lock.
 */
export async function onEmbeddedTrial<T>(
  { settings: { dataDirectory } }: RunContext,
  use: (target: LoadTarget) => Promise<T>,
): Promise<T> {
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  const remove = (name: string) => rm(join(dataDirectory, name), { recursive: true, force: true });
  for (const left of await foldersOf(dataDirectory, TRIAL_PREFIX)) await remove(left);
  const name = `${TRIAL_PREFIX}${randomBytes(4).toString('hex')}`;
  await mkdir(join(dataDirectory, name), { mode: 0o700 });
  try {
    const server = await openServer(join(dataDirectory, name, 'postgres'), { durable: false });
    try {
      return await use({ database: server, bucket: fileBucket(join(dataDirectory, name, 'objects')) });
    } finally {
      await server.close();
    }
  } finally {
    await remove(name);
  }
}
