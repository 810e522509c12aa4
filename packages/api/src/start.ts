import {
  ConfigurationIncomplete,
  CredentialUnreadable,
  InvalidEncryptionKey,
  SchemaMissing,
  SecretMissing,
  SettingInvalid,
  type Tables,
  WrongEncryptionKey,
} from '@kg-operator/config';
import { type Kysely, sql } from 'kysely';
import { FileStoreElsewhere } from './objects/index.ts';
import { SigningKeyInvalid } from './signing-keys.ts';

/** The database did not answer in time, or said no. */
export class DatabaseUnreachable extends Error {
  constructor(reason: string, cause: unknown) {
    super(`the database can't be used: ${reason}. Is it running? ./operator.sh start --infra-only`, {
      cause,
    });
    this.name = 'DatabaseUnreachable';
  }
}

/** The database refuses our password: waiting does not help. */
export class DatabaseRefusesUs extends Error {
  constructor(cause: unknown) {
    super(
      'the database refuses POSTGRES_PASSWORD: restore the .env that was there when the database was created',
      { cause },
    );
    this.name = 'DatabaseRefusesUs';
  }
}

/** Several secrets are missing; the message has a line for each. */
export class SecretsMissing extends Error {
  constructor(missing: SecretMissing[]) {
    const lines = missing.map(({ message }) => `  - ${message}`);
    super(
      `secrets are missing; ./operator.sh start hands over those that ./operator.sh init wrote:\n${lines.join('\n')}`,
    );
    this.name = 'SecretsMissing';
  }
}

/**
 * Calls every reader, so that all missing secrets are named at once.
 * @throws SecretsMissing
 */
export function readAll<Values>(readers: { [Name in keyof Values]: () => Values[Name] }): Values {
  const missing: SecretMissing[] = [];
  const values: Partial<Values> = {};
  for (const name in readers) {
    try {
      values[name] = readers[name]();
    } catch (error) {
      if (!(error instanceof SecretMissing)) throw error;
      missing.push(error);
    }
  }
  if (missing.length > 0) throw new SecretsMissing(missing);
  return values as Values;
}

/**
 * Waits until the database answers.
 * @throws DatabaseUnreachable after `deadlineMs`, DatabaseRefusesUs at once.
 */
export async function waitForDatabase(
  db: Kysely<Tables>,
  { deadlineMs = 30_000, intervalMs = 1_000, onRetry = (_reason: string) => {} } = {},
): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  let announced = false;
  for (;;) {
    try {
      await sql`SELECT 1`.execute(db);
      return;
    } catch (error) {
      const { code } = error as { code?: string };
      // SQLSTATE 28P01 invalid_password, 28000 invalid_authorization_specification
      if (code === '28P01' || code === '28000') throw new DatabaseRefusesUs(error);
      const reason = code ?? (error instanceof Error ? error.message : String(error));
      if (Date.now() + intervalMs > deadline) throw new DatabaseUnreachable(reason, error);
      if (!announced) onRetry(reason);
      announced = true;
    }
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}

/** The exit code for a failure to start (ARCHITECTURE.md, "Exit codes"). 1 is a bug of ours. */
export function exitCodeOf(error: unknown): number {
  if (
    error instanceof SecretsMissing ||
    error instanceof InvalidEncryptionKey ||
    error instanceof SigningKeyInvalid ||
    error instanceof DatabaseRefusesUs
  )
    return 3;
  if (
    error instanceof ConfigurationIncomplete ||
    error instanceof FileStoreElsewhere ||
    error instanceof SettingInvalid ||
    error instanceof WrongEncryptionKey ||
    error instanceof CredentialUnreadable
  )
    return 4;
  if (error instanceof DatabaseUnreachable) return 7;
  if (error instanceof SchemaMissing) return 8;
  return 1;
}
