import { randomBytes } from 'node:crypto';
import type { MigrationSession } from '../database/session.ts';
import { type Migration, numberOf } from './files.ts';

/**
 * `applied`: all of it. `baseline`: recorded without running it, on a database that had it already. `running`: a migration outside a
 * transaction has begun and is not done.
 */
export type LedgerState = 'applied' | 'baseline' | 'running';

/** What of a row of `kg_operator.schema_migrations` decides what is to be done. */
export interface LedgerEntry {
  id: string;
  checksum: string;
  state: LedgerState;
}

/** A row of `kg_operator.schema_migrations`, without the applied text. What version 0.1.0 did not record is null. */
export interface AppliedMigration extends LedgerEntry {
  kind: string;
  applied_at: Date;
  duration_ms: number;
  engine_version: string;
  transaction_mode: string | null;
  description: string | null;
  applied_by: string | null;
  applied_role: string | null;
  /** Of a migration outside a transaction: how many of its units are done. */
  units_done: number | null;
  /** Index of the unit that was begun and whose end is not known; null when there is none. */
  unit_started: number | null;
  /** What was decided by hand about this row, oldest first. */
  decisions: LedgerDecision[] | null;
}

/** Something a person decided about a ledger row; kept with it. */
export interface LedgerDecision {
  at: string;
  by: string;
  action: 'accept-drift' | 'interrupted' | 'baseline';
  /** What was in the row before. */
  checksum?: string;
  content?: string;
  /** Of `interrupted`: what was said, and of which unit. */
  outcome?: 'done' | 'redo';
  unit?: number;
}

export const LEDGER_TABLE = 'kg_operator.schema_migrations';

// The text is kept out of line and uncompressed: what a run without anything to do reads stays small, and writing stays fast.
const LEDGER = `
  CREATE SCHEMA IF NOT EXISTS kg_operator;
  CREATE TABLE IF NOT EXISTS ${LEDGER_TABLE} (
    id             text PRIMARY KEY,
    checksum       text NOT NULL,
    kind           text NOT NULL,
    applied_at     timestamptz NOT NULL DEFAULT now(),
    duration_ms    integer NOT NULL,
    engine_version text NOT NULL
  );
  ALTER TABLE ${LEDGER_TABLE}
    ADD COLUMN IF NOT EXISTS state            text NOT NULL DEFAULT 'applied' CHECK (state IN ('applied', 'baseline', 'running')),
    ADD COLUMN IF NOT EXISTS transaction_mode text CHECK (transaction_mode IN ('whole', 'none', 'own')),
    ADD COLUMN IF NOT EXISTS description      text,
    ADD COLUMN IF NOT EXISTS content          text,
    ADD COLUMN IF NOT EXISTS applied_by       text,
    ADD COLUMN IF NOT EXISTS applied_role     text,
    ADD COLUMN IF NOT EXISTS units_done       integer,
    ADD COLUMN IF NOT EXISTS unit_started     integer,
    ADD COLUMN IF NOT EXISTS decisions        jsonb;
  ALTER TABLE ${LEDGER_TABLE} ALTER COLUMN applied_role SET DEFAULT session_user;
  ALTER TABLE ${LEDGER_TABLE} ALTER COLUMN content SET STORAGE EXTERNAL;
  ALTER TABLE ${LEDGER_TABLE} SET (toast_tuple_target = 128);`;

/** Makes the ledger, or brings one of an older version to this one's form; in one transaction. */
export async function ensureLedger(session: Pick<MigrationSession, 'query'>): Promise<void> {
  // Of two that create a schema at once one would fail, IF NOT EXISTS or not: where there is no lock on a connection of its own, this is it.
  await session.query(
    `BEGIN; SELECT pg_advisory_xact_lock(${LOCK_KEY} + 2); SET LOCAL client_min_messages = warning; SET LOCAL search_path = pg_catalog; ${LEDGER} COMMIT;`,
  );
}

/** Any constant serves, as long as every version of the engine uses the same: the first 31 bits of SHA-256("kg-operator/migrate"). */
export const LOCK_KEY = 573_126_100;

export interface DatabaseState {
  /** `none`: never migrated. `old`: of version 0.1.0, upgraded by the first run that has something to do. */
  ledger: 'none' | 'old' | 'current';
  /** In order of application. */
  entries: LedgerEntry[];
  /** Another runner is at work. */
  busy: boolean;
  /** PostgreSQL process id of this session. */
  pid: number;
  /** Statements that give a reset session what migrations expect of it; empty where the connection's own settings do. */
  sessionSetup: string;
}

interface StateRow {
  pid: number;
  busy: boolean;
  age: boolean;
  must_load: boolean;
  search_path: string;
}

const STATE = `
  SELECT pg_backend_pid() AS pid,
         EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = ${LOCK_KEY}
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS busy,
         EXISTS (SELECT FROM pg_extension WHERE extname = 'age') AS age,
         current_setting('is_superuser') = 'on'
           AND current_setting('shared_preload_libraries') !~ '\\mage\\M'
           AND current_setting('session_preload_libraries') !~ '\\mage\\M' AS must_load,
         current_setting('search_path') AS search_path`;

/** Reads all that a run decides by; one round trip where there is a ledger of this version. */
export async function inspectDatabase(
  session: Pick<MigrationSession, 'query' | 'script'>,
): Promise<DatabaseState> {
  try {
    const [state, ledger] = await session.script(
      `${STATE}; SELECT id, checksum, state FROM ${LEDGER_TABLE};`,
    );
    return toState(
      state?.rows[0] as unknown as StateRow,
      'current',
      ledger?.rows as unknown as LedgerEntry[],
    );
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as { code?: string };
    // undefined_table, undefined_column: https://www.postgresql.org/docs/current/errcodes-appendix.html
    if (code !== '42P01' && code !== '42703') throw error;
    const [state] = await session.query<StateRow>(STATE);
    const entries = await readEntries(session);
    return toState(state as StateRow, code === '42P01' ? 'none' : 'old', entries);
  }
}

function toState(row: StateRow, ledger: DatabaseState['ledger'], entries: LedgerEntry[]): DatabaseState {
  const setup: string[] = [];
  if (row.age) {
    if (row.must_load) setup.push(`LOAD 'age'`);
    if (!/\bag_catalog\b/.test(row.search_path))
      setup.push(`SET search_path = ${row.search_path || 'pg_catalog'}, ag_catalog`);
  }
  return {
    ledger,
    entries: inOrder(entries),
    busy: row.busy,
    pid: row.pid,
    sessionSetup: setup.map((statement) => `${statement};`).join(' '),
  };
}

async function ledgerForm(
  session: Pick<MigrationSession, 'query'>,
): Promise<{ exists: boolean; current: boolean }> {
  const [form] = await session.query<{ exists: boolean; current: boolean }>(
    `SELECT to_regclass('${LEDGER_TABLE}') IS NOT NULL AS exists,
            EXISTS (SELECT FROM pg_attribute
                     WHERE attrelid = to_regclass('${LEDGER_TABLE}') AND attname = 'state' AND NOT attisdropped) AS current`,
  );
  return form ?? { exists: false, current: false };
}

/** Ids, checksums and states, in order; empty when there is no ledger yet. */
export async function readEntries(session: Pick<MigrationSession, 'query'>): Promise<LedgerEntry[]> {
  const { exists, current } = await ledgerForm(session);
  if (!exists) return [];
  const state = current ? 'state' : `'applied' AS state`;
  return inOrder(await session.query<LedgerEntry>(`SELECT id, checksum, ${state} FROM ${LEDGER_TABLE}`));
}

/** The ledger, in order; empty when there is none yet. */
export async function readLedger(session: Pick<MigrationSession, 'query'>): Promise<AppliedMigration[]> {
  const { exists, current } = await ledgerForm(session);
  if (!exists) return [];
  const grown = current
    ? 'state, transaction_mode, description, applied_by, applied_role, units_done, unit_started, decisions'
    : `'applied' AS state, NULL AS transaction_mode, NULL AS description, NULL AS applied_by, NULL AS applied_role,
       NULL AS units_done, NULL AS unit_started, NULL AS decisions`;
  return inOrder(
    await session.query<AppliedMigration>(
      `SELECT id, checksum, kind, applied_at, duration_ms, engine_version, ${grown} FROM ${LEDGER_TABLE}`,
    ),
  );
}

/** The text that was applied; null where the ledger is older than its keeping. */
export async function readContent(
  session: Pick<MigrationSession, 'query'>,
  id: string,
): Promise<string | null> {
  const [row] = await session.query<{ content: string | null }>(
    `SELECT content FROM ${LEDGER_TABLE} WHERE id = $1`,
    [id],
  );
  return row?.content ?? null;
}

export interface RecordOptions {
  engineVersion: string;
  /** Who runs this, such as `alice@host`. */
  actor: string;
}

const COLUMNS =
  'id, checksum, kind, duration_ms, engine_version, state, transaction_mode, description, content, applied_by';

/** Writes the row of a migration; its duration is in milliseconds. */
export async function insertRow(
  session: Pick<MigrationSession, 'query'>,
  migration: Migration,
  row: RecordOptions & { durationMs: number; state: LedgerState },
): Promise<void> {
  const { id, checksum, kind, transaction, description, sql } = migration;
  await session.query(
    `INSERT INTO ${LEDGER_TABLE} (${COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      ...[id, checksum, kind, row.durationMs, row.engineVersion, row.state],
      ...[transaction, description, sql, row.actor],
    ],
  );
}

/** The same as one statement of a script, for a row that is `applied`; its duration is filled in at the end of the script. */
export function insertRowSql(migration: Migration, { engineVersion, actor }: RecordOptions): string {
  const { id, checksum, kind, transaction, description, sql } = migration;
  const values = [id, checksum, kind].map(literal);
  const others = [engineVersion, 'applied', transaction, description].map(literal);
  const row = [...values, '0', ...others, dollarQuoted(sql), literal(actor)];
  return `INSERT INTO ${LEDGER_TABLE} (${COLUMNS}) VALUES (${row.join(', ')});`;
}

/** Nothing in the text need be escaped: for long ones. */
function dollarQuoted(text: string): string {
  for (;;) {
    const tag = `$k${randomBytes(6).toString('hex')}$`;
    if (!text.includes(tag)) return tag + text + tag;
  }
}

/** A string constant in SQL, right under either setting of standard_conforming_strings. */
export function literal(value: string | null): string {
  if (value === null) return 'NULL';
  const quoted = `'${value.replaceAll("'", "''")}'`;
  return value.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

function inOrder<T extends { id: string }>(rows: T[]): T[] {
  return rows.sort((a, b) => numberOf(a.id) - numberOf(b.id) || (a.id < b.id ? -1 : 1));
}
