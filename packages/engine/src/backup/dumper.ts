import type { ConnectionSettings, Tables } from '@kg-operator/config';
import { type Kysely, sql } from 'kysely';
import type pg from 'pg';
import { rowsOf } from './database-connection.ts';
import { dumpDatabase } from './database-dump.ts';
import type { DatabaseManifest, DumpSink, Progress } from './format.ts';
import type { BundleHeader } from './make.ts';
import { dumpPortable } from './portable-dump.ts';

/**
 * Dumps the database in the way that fits: by pg_dump in containers, which have it, and without it elsewhere.
 * @returns what it holds, and the keys of the objects that rows of the same snapshot refer to
 * @throws OperatorError as dumpDatabase() and dumpPortable()
 */
export async function dumpWithReferences(
  {
    mode,
    connection,
    db,
  }: Pick<BundleHeader, 'mode'> & { connection: ConnectionSettings; db: Kysely<Tables> },
  sink: DumpSink,
  options: { signal: AbortSignal; onProgress: (progress: Progress) => void },
): Promise<{ database: DatabaseManifest; needed: Set<string> }> {
  let needed = new Set<string>();
  if (mode === 'containers') {
    const onSnapshot = async (snapshot: string) => {
      needed = await objectsReferredTo(db, snapshot);
    };
    const database = await dumpDatabase(connection, sink, { ...options, onSnapshot });
    return { database, needed };
  }
  const onSnapshot = async (client: pg.Client) => {
    needed = await objectsSeenBy(client);
  };
  const database = await dumpPortable(connection, sink, { ...options, onSnapshot });
  return { database, needed };
}

/** Keys of the objects that rows refer to, in the snapshot of the dump. */
async function objectsReferredTo(db: Kysely<Tables>, snapshot: string): Promise<Set<string>> {
  return db
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute(async (trx) => {
      await sql`SET TRANSACTION SNAPSHOT ${sql.lit(snapshot)}`.execute(trx);
      const { rows } = await sql<{
        there: boolean;
      }>`SELECT to_regclass('kg_api.documents') IS NOT NULL AS there`.execute(trx);
      if (!rows[0]?.there) return new Set<string>();
      const documents = await trx.selectFrom('kg_api.documents').select('object_key').execute();
      return new Set(documents.map(({ object_key }) => object_key));
    });
}

/** The same over the connection that dumps: an embedded database has no other while it does. */
async function objectsSeenBy(client: pg.Client): Promise<Set<string>> {
  const [found] = await rowsOf<{ there: boolean }>(
    client,
    `SELECT to_regclass('kg_api.documents') IS NOT NULL AS there`,
  );
  if (!found?.there) return new Set();
  const documents = await rowsOf<{ key: string }>(client, 'SELECT object_key AS key FROM kg_api.documents');
  return new Set(documents.map(({ key }) => key));
}
