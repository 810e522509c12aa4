import { SchemaMissing, type Secret, type Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { ensureFingerprint } from '../config/fingerprint.ts';
import { infrastructureSecret } from '../model/settings.ts';
import { OperatorCommand } from './base-command.ts';

/** What the commands of topic `config` share: the database, and the encryption key checked against it before anything is written. */
export abstract class ConfigCommand extends OperatorCommand {
  protected readonly actor = 'operator';

  protected get encryptionKey(): Secret {
    return infrastructureSecret(this.context.settings, 'ENCRYPTION_KEY');
  }

  /** The configuration database, its key checked. @throws SchemaMissing, WrongEncryptionKey */
  protected async database(): Promise<Kysely<Tables>> {
    // Where there is no database, that is what to say, and not that its key is missing.
    await this.context.databaseSettings();
    const db = this.context.configDatabase();
    try {
      await ensureFingerprint(db, this.encryptionKey);
    } catch (error) {
      // SQLSTATE 42P01 undefined_table, 3F000 invalid_schema_name
      if (['42P01', '3F000'].includes((error as { code?: string }).code ?? ''))
        throw new SchemaMissing(error);
      throw error;
    }
    return db;
  }

  protected report(changed: boolean, what: string): void {
    this.answer(changed ? `${what}.` : `${what}: unchanged.`);
  }
}
