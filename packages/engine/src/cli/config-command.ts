import { type HostName, SchemaMissing, type Secret, type Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { commandActor } from '../config/actor.ts';
import { ensureFingerprint } from '../config/fingerprint.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { infrastructureSecret } from '../model/settings.ts';
import { OperatorCommand } from './base-command.ts';
import { askConfirmation } from './prompts.ts';

/** SQLSTATE 42P01 undefined_table, 42703 undefined_column, 3F000 invalid_schema_name: the schema is not that of this version. */
const SCHEMA_CODES = ['42P01', '42703', '3F000'];

/** What the commands of topic `config` share: the database, and the encryption key checked against it before anything is written. */
export abstract class ConfigCommand extends OperatorCommand {
  protected readonly actor = commandActor();

  protected get encryptionKey(): Secret {
    return infrastructureSecret(this.context.settings, 'ENCRYPTION_KEY');
  }

  /** How servers on this machine are reached from where the platform runs. */
  protected get host(): HostName {
    return this.context.settings.mode === 'containers' ? 'host.docker.internal' : 'localhost';
  }

  /** The configuration database, to look at. */
  protected async readDatabase(): Promise<Kysely<Tables>> {
    // Where there is no database, that is what to say, and not that its key is missing.
    await this.context.databaseSettings();
    return this.context.configDatabase();
  }

  /** The same to write to, its key checked. @throws SchemaMissing, WrongEncryptionKey */
  protected async database(): Promise<Kysely<Tables>> {
    const db = await this.readDatabase();
    await ensureFingerprint(db, this.encryptionKey);
    return db;
  }

  /** Asks, unless `--yes` was given. @throws OperatorError NOT_CONFIRMED where the answer is no, or nobody is there to be asked */
  protected async confirm(question: string): Promise<void> {
    if (this.globals.yes) return;
    if (this.interactive && (await askConfirmation(question))) return;
    throw this.interactive
      ? new OperatorError('NOT_CONFIRMED', 'nothing was changed', { exitCode: EXIT.usage })
      : new OperatorError('NOT_CONFIRMED', 'this wants to be confirmed, and there is no terminal to ask on', {
          exitCode: EXIT.usage,
          hint: 'add --yes to do it without asking',
        });
  }

  /** What a test of a provider speaks with. */
  protected get conversation() {
    return {
      say: (text: string) => this.say(text),
      warning: (text: string) => this.warning(text),
      fetch: this.context.fetch,
    };
  }

  protected override async catch(thrown: Error): Promise<void> {
    const { code } = thrown as { code?: string };
    return super.catch(SCHEMA_CODES.includes(code ?? '') ? new SchemaMissing(thrown) : thrown);
  }

  protected report(changed: boolean, what: string): void {
    this.answer(changed ? `${what}.` : `${what}: unchanged.`);
  }
}
