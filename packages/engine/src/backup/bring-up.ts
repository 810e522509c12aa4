import type { ConnectionSettings } from '@kg-operator/config';
import { openSession } from '../database/session.ts';
import { listMigrationIds, readMigrations } from '../migrations/files.ts';
import { migrate } from '../migrations/migrate.ts';
import type { CheckedBundle } from './read.ts';

/**
 * Brings a database that was loaded beside to this engine's schema, if the backup is older: what follows reads and writes it as this
 * engine does, and a migration that fails has harmed nothing yet.
 * @throws OperatorError of migrate()
 */
export async function bringUpToDate(
  connection: ConnectionSettings,
  { manifest }: CheckedBundle,
  { engineVersion, report }: { engineVersion: string; report: (line: string) => void },
): Promise<void> {
  if (manifest.schemaHead === (await listMigrationIds()).at(-1)) return;
  const session = await openSession(connection);
  try {
    await migrate(session, await readMigrations(), {
      engineVersion,
      onStart: ({ id }) => report(`migration ${id}`),
    });
  } finally {
    await session.close();
  }
}
