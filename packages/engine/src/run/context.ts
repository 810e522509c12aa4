import type { ConnectionSettings, Secret, Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import type { Clock } from '../adapters/clock.ts';
import type { Compose } from '../adapters/compose.ts';
import type { ContainerRuntime } from '../adapters/docker.ts';
import type { GarageAdmin } from '../adapters/garage.ts';
import type { ImageStore } from '../adapters/images.ts';
import type { Journal } from '../adapters/journal.ts';
import type { Runner } from '../adapters/runner.ts';
import type { DumpToRestore } from '../backup/dump-file.ts';
import type { BundleFile, CheckedBundle } from '../backup/read.ts';
import type { MigrationSession } from '../database/session.ts';
import type { DatabaseObservation, DeclaredService } from '../model/observation.ts';
import type { Settings } from '../model/settings.ts';
import type { DatabaseFolder } from './database-access.ts';

/** Everything that observing and executing need from the world; put together once, in cli/context.ts, or by a test. */
export interface RunContext {
  settings: Settings;
  engineVersion: string;
  runtime: ContainerRuntime;
  compose: Compose;
  serviceMemo: {
    recall(): Promise<DeclaredService[] | null>;
    renew(services: DeclaredService[]): Promise<void>;
  };
  images: ImageStore;
  runner: Runner;
  clock: Clock;
  journal: Journal;
  /** Host name of this process: inside a container the first 12 digits of the container's id. */
  hostname: string;
  observeDatabase(): Promise<DatabaseObservation>;
  openSession(): Promise<MigrationSession>;
  /** Where to connect, for what is not done here: psql. */
  databaseSettings(): Promise<ConnectionSettings>;
  /** The folder of an embedded database; null for another. After `replace()` databaseSettings() and configDatabase() give the new one. */
  databaseFolder: DatabaseFolder | null;
  /** The configuration database; opened once, closed by `close()`. */
  configDatabase(): Kysely<Tables>;
  /** Garage's admin API, with GARAGE_ADMIN_TOKEN unless another token is given. */
  garage(token?: Secret): GarageAdmin;
  /** What a person gave for backups: keys beside this installation's own; the file to restore, and what came of reading it. */
  backup: {
    recovery: Secret[];
    passphrase: Secret | null;
    file: BundleFile | null;
    checked: CheckedBundle | null;
    /** A file of pg_dump that is to be restored. */
    dump?: DumpToRestore;
    /** Roles that a restore had to make. They can't log in: nobody knows their passwords. */
    createdRoles?: string[];
  };
  /** Asks an HTTP server; throws as fetch does. */
  fetch: typeof fetch;
  /** Aborted by Ctrl-C and SIGTERM: waits end, the running step is finished, the next one is not started. */
  signal: AbortSignal;
  close(): Promise<void>;
}
