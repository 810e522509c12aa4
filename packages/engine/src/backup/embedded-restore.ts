import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ConnectionSettings, isFileStore, type ObjectStoreSettings } from '@kg-operator/config';
import { openServer } from '../database/embedded-server.ts';
import { foldersOf, swapFolders } from '../database/embedded-swap.ts';
import type { RunContext } from '../run/context.ts';
import { bringUpToDate } from './bring-up.ts';
import { openCredentials } from './credentials.ts';
import { forgetPrevious, notePrevious, previousStores } from './embedded-previous.ts';
import { documentBucket, openBucket } from './installation.ts';
import { loadBundle } from './read.ts';
import { adopt, bundleToRestore, makeBucket, notRestorable } from './restore.ts';
import type { Prefixes } from './restore-names.ts';

/** What the names of databases in a data directory begin with, and those of folders of objects. */
export const FOLDERS: Prefixes = {
  incoming: 'postgres.restore-',
  outgoing: 'postgres.before-',
  failed: 'postgres.failed-',
  bucket: 'documents-',
};
/** A folder of objects that a restore has made. */
const RESTORED_BUCKET = /^documents-[0-9a-f]{8}$/;

/**
 * Loads the bundle of the context into an embedded database in a new folder, and its objects into a new bucket, compares both with the
 * manifest, makes them this installation's, and runs `use` with the database. The live data is not touched.
 * @throws OperatorError BACKUP_NOT_RESTORABLE, RESTORE_IMPOSSIBLE, BACKUP_DAMAGED; what was made is removed again
 */
export async function loadIntoFolder<T>(
  context: RunContext,
  { database, bucket }: { database: string; bucket: string | null },
  report: (line: string) => void,
  use: (connection: ConnectionSettings) => Promise<T>,
): Promise<T> {
  const { settings, signal, engineVersion } = context;
  const { file, checked } = await bundleToRestore(context);
  const { settings: store } = await documentBucket(context);
  await removeLeftBehind(context, store);
  const newStore = bucket ? { ...store, bucket } : store;
  if (bucket) await makeBucket(context, newStore);
  const server = await openServer(join(settings.dataDirectory, database), { durable: true });
  let isLoaded = false;
  try {
    const into = { database: server, bucket: bucket ? await openBucket(context, newStore) : null };
    const findings = await loadBundle(file, checked, into, { signal, engineVersion, report });
    if (findings.length === 0) {
      await bringUpToDate(server.connection, checked, { engineVersion, report });
      findings.push(...(await openCredentials(server.connection, checked)));
    }
    if (findings.length > 0) throw notRestorable(checked.manifest.id, findings);
    await adopt(context, server.connection, checked, newStore);
    const result = await use(server.connection);
    isLoaded = true;
    return result;
  } finally {
    await server.close();
    if (!isLoaded) await removeLeftBehind(context, store);
  }
}

export async function removeFolder({ settings }: RunContext, name: string): Promise<void> {
  const folder = join(settings.dataDirectory, name);
  for (const path of [folder, `${folder}.creating`]) await rm(path, { recursive: true, force: true });
}

/** Removes what restores have left that failed or were killed: databases, and folders of objects that no database refers to. */
async function removeLeftBehind(context: RunContext, live: ObjectStoreSettings): Promise<void> {
  const { dataDirectory } = context.settings;
  for (const name of await foldersOf(dataDirectory, FOLDERS.incoming)) await removeFolder(context, name);
  if (!isFileStore(live)) return;
  const used = [live, ...(await previousStores(dataDirectory))].map(({ bucket }) => bucket);
  const folder = join(dataDirectory, live.endpoint.slice('file:'.length));
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []; // no document was ever stored
    throw error;
  });
  for (const name of names)
    if (RESTORED_BUCKET.test(name) && !used.includes(name))
      await rm(join(folder, name), { recursive: true, force: true });
}

/** Puts another database in the place of the live one, which is kept. @throws OperatorError LOCKED */
export async function swapEmbedded(
  context: RunContext,
  names: { incoming: string; outgoing: string },
): Promise<void> {
  const { databaseFolder, settings } = context;
  if (!databaseFolder) throw new Error('only the folder of an embedded database can be swapped');
  const { settings: store } = await documentBucket(context);
  await notePrevious(settings.dataDirectory, names.outgoing, store);
  await databaseFolder.replace(() => swapFolders(settings.dataDirectory, names));
  await forgetPrevious(settings.dataDirectory, names.incoming);
}
