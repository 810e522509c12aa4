import {
  type ConnectionSettings,
  openDatabase,
  readConfigState,
  SchemaMissing,
  type Secret,
  type Tables,
} from '@kg-operator/config';
import { type Kysely, sql } from 'kysely';
import { checkCredentials } from '../checks/configuration.ts';
import { listMigrationIds } from '../migrations/files.ts';
import { compareWithLedger } from '../migrations/history.ts';
import { readEntries } from '../migrations/ledger.ts';
import { messageOf } from '../model/errors.ts';
import type { DatabaseObservation } from '../model/observation.ts';

const CONNECT_TIMEOUT_MS = 3000;

/**
 * What the database holds, over one connection that is closed again; an unreachable one is an answer, not an error. With the encryption
 * key every stored credential is opened.
 */
export async function observeDatabase(
  settings: ConnectionSettings,
  encryptionKey: Secret | null = null,
): Promise<DatabaseObservation> {
  const db = openDatabase(settings, { max: 1, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  try {
    await sql`SELECT 1`.execute(db);
  } catch (error) {
    await db.destroy();
    return { reachable: false, reason: messageOf(error) };
  }
  try {
    return await readDatabase(db, encryptionKey);
  } finally {
    await db.destroy();
  }
}

/** The same over an open connection. */
export async function readDatabase(
  db: Kysely<Tables>,
  encryptionKey: Secret | null = null,
): Promise<DatabaseObservation> {
  const query = async <Row>(text: string) => (await sql.raw(text).execute(db)).rows as Row[];
  const schema = compareWithLedger(await listMigrationIds(), await readEntries({ query }));
  try {
    const config = await readConfigState(db);
    const unreadable = encryptionKey === null ? [] : (await checkCredentials(db, encryptionKey)).findings;
    return { reachable: true, schema, config: { ...config, unreadable } };
  } catch (error) {
    if (error instanceof SchemaMissing) return { reachable: true, schema, config: null };
    throw error;
  }
}
