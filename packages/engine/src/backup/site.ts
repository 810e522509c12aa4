import type { ConnectionSettings } from '@kg-operator/config';
import type { RunContext } from '../run/context.ts';
import type { LoadTarget } from './read.ts';
import type { Prefixes } from './restore-names.ts';
import { containersSite } from './site-containers.ts';
import { embeddedSite } from './site-embedded.ts';
import { postgresSite } from './site-postgres.ts';

type Report = (line: string) => void;

/** What restoring and verifying want of the place where the platform runs. */
export interface Site {
  /** What a person types to confirm. */
  name: string;
  /** Of the databases and buckets that restores make. */
  prefixes: Prefixes;
  /** Fails, with what to do, when the live data can't be replaced now. */
  assertReplaceable(): Promise<void>;
  /**
   * Loads the bundle of the context into a new database beside the live one, and its objects into a new bucket, compares both, and makes them
   * this installation's. @throws OperatorError BACKUP_NOT_RESTORABLE, RESTORE_IMPOSSIBLE, BACKUP_DAMAGED; what was made is removed again
   */
  loadBeside(into: { database: string; bucket: string | null }, report: Report): Promise<void>;
  /** Runs with the bundle's database loaded beside the live one, and removes it again. */
  withLoaded<T>(
    database: string,
    report: Report,
    use: (connection: ConnectionSettings) => Promise<T>,
  ): Promise<T>;
  /** Again after it has happened, it changes nothing. */
  swap(names: { incoming: string; outgoing: string }): Promise<void>;
  /** Waits until the database can be asked again: it may just have been restarted. */
  answers(): Promise<void>;
  /** What restores have put aside, oldest first, with its size in bytes. */
  previous(): Promise<{ name: string; bytes: number }[]>;
  /** Fails unless the platform could run on it. @throws OperatorError WRONG_ENCRYPTION_KEY, PREVIOUS_UNUSABLE */
  examinePrevious(name: string): Promise<void>;
  /** Removes it, with the documents that only it refers to. */
  dropPrevious(name: string): Promise<void>;
  /** Runs with an empty database and an empty bucket, and removes both. */
  onTrial<T>(use: (target: LoadTarget) => Promise<T>): Promise<T>;
}

/** The one for the mode that the settings chose. */
export function siteOf(context: RunContext): Site {
  return { containers: containersSite, embedded: embeddedSite, postgres: postgresSite }[
    context.settings.mode
  ](context);
}
