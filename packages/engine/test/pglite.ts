import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
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
  return openPglite({
    loadDataDir: existsSync(kept) ? new Blob([await readFile(kept)]) : await keepOne(kept),
  });
}

async function keepOne(path: string): Promise<Blob> {
  const pglite = await openPglite();
  try {
    await pglite.exec('CHECKPOINT');
    const dump = await pglite.dumpDataDir('none');
    // Several may make one at once, in one process as well: each writes its own, and the last to be whole stays.
    const unfinished = `${path}.${randomUUID()}`;
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
