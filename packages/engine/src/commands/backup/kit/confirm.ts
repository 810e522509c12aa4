import { recipientOf } from '../../../backup/age.ts';
import { type BackupSettings, changeBackupSettings, readBackupSettings } from '../../../backup/settings.ts';
import { OperatorCommand } from '../../../cli/base-command.ts';
import { askSecret } from '../../../cli/prompts.ts';
import { keyIn } from '../../../cli/recovery-kit.ts';
import { givenSecret, mustBeGiven, secretFlags, secretSource } from '../../../cli/secret-input.ts';
import { commandActor } from '../../../config/actor.ts';
import { EXIT, OperatorError } from '../../../model/errors.ts';

export default class BackupKitConfirm extends OperatorCommand {
  static override summary = 'Confirm that you have the recovery kit, by giving it once';
  static override examples = [
    '<%= config.bin %> backup kit confirm',
    '<%= config.bin %> backup kit confirm --from-stdin < kit.txt',
  ];
  static override flags = secretFlags('recovery key', 'key');

  async run(): Promise<{ kit: BackupSettings['kit'] }> {
    const { flags } = await this.parse(BackupKitConfirm);
    const source = secretSource('recovery key', 'KG_RECOVERY_KEY', flags);
    const given = await givenSecret(source);
    if (!given && !this.interactive) throw mustBeGiven(source);
    const text = given?.secret ?? (await askSecret('The line that begins with AGE-SECRET-KEY-1', () => true));
    const db = this.context.configDatabase();
    const { kit } = await readBackupSettings(db);
    const recipient = await recipientOf(keyIn(text));
    if (!kit || kit.recipient !== recipient)
      throw new OperatorError(
        'KIT_WRONG',
        kit ? 'that is not the recovery kit of this installation' : 'there is no recovery kit yet',
        {
          exitCode: EXIT.precondition,
          hint: kit
            ? `the one made on ${kit.createdAt.slice(0, 10)} is needed`
            : './operator.sh backup kit new',
        },
      );
    const confirmed = { ...kit, confirmedAt: kit.confirmedAt ?? this.context.clock.date().toISOString() };
    await changeBackupSettings(db, { actor: commandActor() }, 'kit', (settings) => ({
      ...settings,
      kit: confirmed,
    }));
    this.answer('The recovery kit is confirmed.');
    return { kit: confirmed };
  }
}
