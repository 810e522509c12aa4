import { readFile, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PGlite, type PGliteOptions } from '@electric-sql/pglite';
import { age } from '@electric-sql/pglite-age';

/**
 * An empty PostgreSQL with AGE in memory. Making one takes a second, copying one a quarter of it: the first of a test run is kept in the
 * run's temporary directory (test/jest-temporary.js), whichever worker makes it.
 */
export async function emptyPglite(): Promise<PGlite> {
  const kept = join(tmpdir(), 'empty-pglite.tar');
  const found = await readFile(kept).catch(() => null);
  return openPglite({ loadDataDir: found ? new Blob([found]) : await keepOne(kept) });
}

async function keepOne(path: string): Promise<Blob> {
  const pglite = await openPglite();
  try {
    await pglite.exec('CHECKPOINT');
    const dump = await pglite.dumpDataDir('none');
    const unfinished = `${path}.${process.pid}`;
    await writeFile(unfinished, dump.stream());
    await rename(unfinished, path);
    return dump;
  } finally {
    await pglite.close();
  }
}

async function openPglite(options: PGliteOptions = {}): Promise<PGlite> {
  const pglite = await PGlite.create({
    ...options,
    extensions: { age },
    startParams: [...PGlite.defaultStartParams, '-c', 'search_path=public,ag_catalog'],
  });
  await pglite.exec("LOAD 'age'");
  return pglite;
}
