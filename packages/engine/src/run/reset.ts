import { existsSync } from 'node:fs';
import { readdir, realpath, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { takeLock } from './lock.ts';

/** What kg-operator keeps in a data directory; a reset touches nothing else. Secrets go last: data without them could not be opened. */
const OWN = [
  'dev.json',
  'objects',
  'postgres',
  'postgres.creating',
  'postgres.swap.json',
  'journal.jsonl',
  'runs',
  '.env',
];
/** What restores and trials of backups have put beside it. Backups themselves stay. */
const BESIDE = /^(?:postgres\.(?:before|failed|restore)-|backup-trial-)/;

/** Whether there is anything of ours in a data directory. */
export function holdsData(dataDirectory: string): boolean {
  return OWN.some((name) => existsSync(join(dataDirectory, name)));
}

/**
 * Deletes what kg-operator keeps in a data directory, and the directory if nothing else is in it.
 * @throws OperatorError LOCKED while another process has it open
 */
export async function resetData(dataDirectory: string): Promise<void> {
  const release = await takeLock(await realpath(dataDirectory), 'kg-operator dev --reset');
  try {
    const beside = (await readdir(dataDirectory)).filter((name) => BESIDE.test(name));
    for (const name of [...beside, ...OWN])
      await rm(join(dataDirectory, name), { recursive: true, force: true });
  } finally {
    await release();
  }
  await rm(join(dataDirectory, 'lock'), { force: true });
  await rmdir(dataDirectory).catch(() => undefined); // something of somebody else's is in it
}
