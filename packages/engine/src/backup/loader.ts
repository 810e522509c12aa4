import type { ConnectionSettings } from '@kg-operator/config';
import type { EmbeddedServer } from '../database/embedded-server.ts';
import { type Loaded, type LoadOptions, loadDatabase } from './database-load.ts';
import { type Finding, verifyDatabase } from './database-verify.ts';
import { type DumpSource, PRE_DATA } from './format.ts';
import type { BundleManifest } from './make.ts';
import { loadPortable } from './portable-load.ts';
import { verifyPortable } from './portable-verify.ts';

/** How the database of a bundle is loaded, and compared afterwards. */
export interface DatabaseLoader {
  load(members: DumpSource, options: LoadOptions & { signal: AbortSignal }): Promise<Loaded>;
  verify(signal: AbortSignal): Promise<Finding[]>;
}

/**
 * The way that fits: as pg_dump wrote it, or, where the bundle has no such dump or the target is an embedded database, into the schema that
 * the migrations make.
 */
export function databaseLoader(
  manifest: BundleManifest & { members: Record<string, unknown> },
  { database }: { database: { connection: ConnectionSettings } | EmbeddedServer },
  engineVersion: string,
): DatabaseLoader {
  const embedded = 'pglite' in database ? database : null;
  if (!embedded && PRE_DATA in manifest.members)
    return {
      load: (members, options) => loadDatabase(database.connection, members, manifest.database, options),
      verify: (signal) => verifyDatabase(database.connection, manifest.database, { signal }),
    };
  return {
    async load(members, options) {
      const target = { connection: database.connection, pglite: embedded?.pglite ?? null };
      const { renumbered } = await loadPortable(target, members, manifest, { ...options, engineVersion });
      if (renumbered) await embedded?.reopen();
      return { createdRoles: [] };
    },
    verify: (signal) => verifyPortable(database.connection, manifest.database, { signal }),
  };
}
