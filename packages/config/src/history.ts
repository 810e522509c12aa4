import { type Kysely, type Selectable, sql, type Transaction } from 'kysely';
import { passwordFingerprint } from './password-rules.ts';
import type { Tables, UsersTable } from './tables.ts';

/** Who changes configuration, for `kg_api.config_history`. */
export interface Actor {
  /** `os:NAME` of the host, or `api:NAME` of the platform. */
  actor: string;
}

export interface Change {
  changed: boolean;
}

/** What has changed, for people: never a secret, but its fingerprint. */
export interface ChangeRecord {
  /** The command's word: `admin`, `claim`, `ai-provider`, `embedding`, `api-key`, `garage`, `setting`, `rotate`, `backup`. */
  topic: string;
  action: 'create' | 'update' | 'delete' | 'activate' | 'disable' | 'enable' | 'rotate' | 'restore' | 'undo';
  /** The thing: a user's name, a provider, a setting's name. */
  subject: string;
  /** Null: it was not there before, or is not any more. */
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
}

// The first 31 bits of SHA-256("kg-operator/config"); every version of engine and API must use the same.
const LOCK_KEY = 1_521_809_555;

/**
 * Runs a change of configuration: a transaction, one at a time over all processes, so that what it reads stays true until it is written.
 * Everything recorded in it is one change, which `config undo` takes back as a whole.
 */
export async function changeConfig<T>(
  db: Kysely<Tables>,
  run: (trx: Transaction<Tables>) => Promise<T>,
): Promise<T> {
  return db.transaction().execute(async (trx) => {
    await sql`SELECT pg_advisory_xact_lock(${sql.lit(LOCK_KEY)})`.execute(trx);
    return run(trx);
  });
}

/** Records a change in the transaction that makes it. */
export async function recordChange(
  trx: Transaction<Tables>,
  { actor }: Actor,
  { topic, action, subject, before, after }: ChangeRecord,
): Promise<void> {
  const json = (value: Record<string, unknown> | null) =>
    value === null ? undefined : JSON.stringify(value);
  await trx
    .insertInto('kg_api.config_history')
    .values({ actor, topic, action, subject, before: json(before), after: json(after) })
    .execute();
}

/** A user as the history shows it before and after: the password as a fingerprint. */
export function userRecord(
  user: Pick<Selectable<UsersTable>, 'role' | 'disabled_at' | 'password_hash' | 'password_source'>,
): Record<string, unknown> {
  return {
    role: user.role,
    disabled: user.disabled_at !== null,
    password: passwordFingerprint(user.password_hash),
    source: user.password_source,
  };
}
