import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { PGlite } from '@electric-sql/pglite';
import type { Tables } from '@kg-operator/config';
import { Kysely, PGliteDialect } from 'kysely';
import { emptyPglite } from '../../engine/test/pglite.ts';

const MIGRATIONS = fileURLToPath(new URL('../../../schema/migrations/', import.meta.url));

/** An embedded PostgreSQL with AGE, migrated by the real files; the search path is that of openDatabase(). */
export async function migratedDatabase(): Promise<{ pglite: PGlite; db: Kysely<Tables> }> {
  const pglite = await emptyPglite();
  const files = (await readdir(MIGRATIONS)).filter((name) => name.endsWith('.sql')).sort();
  for (const file of files) {
    const text = await readFile(`${MIGRATIONS}${file}`, 'utf8');
    await pglite.transaction((tx) => tx.exec(text));
  }
  await pglite.exec('SET search_path = public, ag_catalog');
  return { pglite, db: new Kysely<Tables>({ dialect: new PGliteDialect({ pglite }) }) };
}
