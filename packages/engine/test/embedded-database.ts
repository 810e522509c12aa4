import { type ConnectionSettings, Secret, type Tables } from '@kg-operator/config';
import { Kysely, PGliteDialect } from 'kysely';
import { type MigrationSession, openSession } from '../src/database/session.ts';
import { serveWire } from '../src/database/wire.ts';
import { readMigrations } from '../src/migrations/files.ts';
import { migrate } from '../src/migrations/migrate.ts';
import { emptyPglite } from './pglite.ts';

export interface EmbeddedDatabase {
  db: Kysely<Tables>;
  session: MigrationSession;
  settings: ConnectionSettings;
  close(): Promise<void>;
}

/** An empty PostgreSQL with AGE in this process; its session comes through the wire protocol, as everywhere. */
export async function emptyDatabase(): Promise<EmbeddedDatabase> {
  const pglite = await emptyPglite();
  const password = new Secret('the password');
  const wire = await serveWire(pglite, {
    port: 0,
    password,
    onFailure(error) {
      throw error;
    },
  });
  const settings = { host: '127.0.0.1', port: wire.port, user: 'kg', database: 'kg', password };
  const session = await openSession(settings);
  const db = new Kysely<Tables>({ dialect: new PGliteDialect({ pglite }) });
  return {
    db,
    session,
    settings,
    async close() {
      await session.close();
      await wire.close();
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
