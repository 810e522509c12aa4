export interface Target {
  /** `postgres://user:password@host:port/database?sslmode=…`, or its parts. */
  connection:
    | string
    | {
        host: string;
        port: number;
        user: string;
        database: string;
        password: string;
        tls?: 'require' | 'verify';
      };
  /** The folder with the migrations: `NNNN_words.sql`. */
  directory: string;
}

export interface Migration {
  id: string;
  kind: 'expand' | 'contract';
  transaction: 'whole' | 'none' | 'own';
  description: string | null;
  sql: string;
}

/** All times in milliseconds. */
export interface MigrateOptions {
  /** Who runs this, for the ledger; default `user@host`. */
  actor?: string;
  /** How long to wait for another runner; default five minutes. */
  waitMs?: number;
  /** lock_timeout of files that do not say; default 5000. */
  lockTimeoutMs?: number;
  /** How long to try again while a lock is not given; default one minute. */
  lockRetryMs?: number;
  /** statement_timeout of files that do not say; default 0, none. */
  statementTimeoutMs?: number;
  /** Ids of applied files that have changed, and are right as they are. */
  acceptDrift?: string[];
  /** What became of the statement that MIGRATION_INTERRUPTED named. */
  interrupted?: 'done' | 'redo';
  /** Aborted: what runs is finished, and nothing more is begun. */
  signal?: AbortSignal;
  onStart?: (migration: Migration) => void;
  onApplied?: (migration: Migration, durationMs: number) => void;
  onWait?: (holder: string) => void;
  onRemark?: (text: string) => void;
}

export interface AppliedNow {
  id: string;
  kind: 'expand' | 'contract';
  durationMs: number;
}

export interface StatusReport {
  head: string | null;
  applied: number;
  pending: string[];
  migrations: { id: string; state: 'applied' | 'baseline' | 'running' | 'pending'; drift: string[] }[];
  problems: { code: string; ids: string[]; message: string; hint: string }[];
}

export class MigrationError extends Error {
  readonly code: string;
  readonly exitCode: number;
  readonly hint: string | undefined;
  readonly details: string[];
}

/** Applies what is pending; returns what this call applied. @throws MigrationError */
export function migrate(options: Target & MigrateOptions): Promise<AppliedNow[]>;

/** What is applied, what is pending, and what does not fit; changes nothing. */
export function status(options: Target): Promise<StatusReport>;
