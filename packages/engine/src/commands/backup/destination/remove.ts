import { Args } from '@oclif/core';
import { removeDestination } from '../../../backup/destinations.ts';
import { ConfigCommand } from '../../../cli/config-command.ts';

export default class BackupDestinationRemove extends ConfigCommand {
  static override summary = 'Send no more backups to a destination; what is there stays there';
  static override examples = ['<%= config.bin %> backup destination remove offsite'];
  static override args = { name: Args.string({ description: 'its name', required: true }) };

  async run(): Promise<{ name: string }> {
    const { args } = await this.parse(BackupDestinationRemove);
    const { name } = args;
    const db = await this.database();
    await removeDestination(db, { name, actor: this.actor });
    this.answer(`Backups do not go to ${name} any more.`);
    return { name };
  }
}
