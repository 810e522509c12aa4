import { openDestination } from '../../../backup/installation.ts';
import { type DestinationSettings, readBackupSettings } from '../../../backup/settings.ts';
import { OperatorCommand } from '../../../cli/base-command.ts';

export default class BackupDestinationList extends OperatorCommand {
  static override summary = 'Show where backups go';
  static override examples = ['<%= config.bin %> backup destination list'];

  async run(): Promise<{ destinations: DestinationSettings[] }> {
    await this.parse(BackupDestinationList);
    const { destinations } = await readBackupSettings(this.context.configDatabase());
    for (const settings of destinations) {
      const { name, address } = await openDestination(this.context, settings);
      this.answer(`${name}  ${address}`);
    }
    return { destinations };
  }
}
