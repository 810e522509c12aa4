import { type BackupSettings, readBackupSettings } from '../../../backup/settings.ts';
import { OperatorCommand } from '../../../cli/base-command.ts';

export default class BackupKit extends OperatorCommand {
  static override summary = 'Show whether there is a recovery kit, and whether it was confirmed';
  static override description =
    'The recovery kit is a private key that opens every backup without this host. It is kept by you, and nowhere here.';
  static override examples = ['<%= config.bin %> backup kit', '<%= config.bin %> backup kit new'];

  async run(): Promise<{ kit: BackupSettings['kit'] }> {
    await this.parse(BackupKit);
    const { kit } = await readBackupSettings(this.context.configDatabase());
    if (!kit) this.answer('There is no recovery kit: ./operator.sh backup kit new');
    else
      this.answer(
        `Recovery kit of ${kit.createdAt.slice(0, 10)}, for ${kit.recipient}: ${
          kit.confirmedAt
            ? `confirmed on ${kit.confirmedAt.slice(0, 10)}`
            : 'not confirmed: ./operator.sh backup kit confirm'
        }`,
      );
    return { kit };
  }
}
