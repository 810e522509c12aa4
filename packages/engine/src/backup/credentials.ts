import { type ConnectionSettings, openDatabase, openEveryCredential } from '@kg-operator/config';
import { type CheckedBundle, encryptionKeyOf } from './read.ts';

/** Opens every credential of a restored database with the key that is in its bundle; returns what does not open. */
export async function openCredentials(
  connection: ConnectionSettings,
  checked: CheckedBundle,
): Promise<string[]> {
  const key = encryptionKeyOf(checked);
  if (!key) return [];
  const db = openDatabase(connection, { max: 1 });
  try {
    const credentials = await openEveryCredential(db, key);
    return credentials.flatMap(({ row, ok, reason }) => (ok ? [] : [`credential ${row}: ${reason}`]));
  } finally {
    await db.destroy();
  }
}
