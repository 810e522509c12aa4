import { PGlite } from '@electric-sql/pglite';
import { age } from '@electric-sql/pglite-age';
import type { Tables } from '@kg-operator/config';
import { Kysely, PGliteDialect } from 'kysely';
import type { MigrationSession } from '../src/database/session.ts';
import { readMigrations } from '../src/migrations/files.ts';
import { migrate } from '../src/migrations/migrate.ts';

export interface EmbeddedDatabase {
  db: Kysely<Tables>;
  session: MigrationSession;
  close(): Promise<void>;
}

/** An empty PostgreSQL with AGE in this process, behind the same interfaces as the real one. */
export async function emptyDatabase(): Promise<EmbeddedDatabase> {
  const pglite = await PGlite.create({ extensions: { age } });
  await pglite.exec("LOAD 'age'; SET search_path = public, ag_catalog;");
  const session: MigrationSession = {
    query: async <Row>(sql: string, parameters?: unknown[]) =>
      // Without parameters a text may hold several statements, as with node-postgres.
      (parameters
        ? (await pglite.query<Row>(sql, parameters)).rows
        : ((await pglite.exec(sql)).at(-1)?.rows ?? [])) as Row[],
    async applyInTransaction(script, record) {
      await pglite.transaction(async (transaction) => {
        await transaction.exec(script);
        await record({
          query: async <Row>(sql: string, parameters?: unknown[]) =>
            (await transaction.query<Row>(sql, parameters)).rows,
        });
      });
    },
    close: async () => undefined,
  };
  const db = new Kysely<Tables>({ dialect: new PGliteDialect({ pglite }) });
  return {
    db,
    session,
    async close() {
      await db.destroy();
      if (!pglite.closed) await pglite.close();
    },
  };
}

/** The same with every migration applied. */
export async function migratedDatabase(): Promise<EmbeddedDatabase> {
  const database = await emptyDatabase();
  await migrate(database.session, await readMigrations(), { engineVersion: 'test' });
  return database;
}
