import { Args } from '@oclif/core';
import { changeBackupSettings } from '../../../backup/settings.ts';
import { ConfigCommand } from '../../../cli/config-command.ts';
import { commandActor } from '../../../config/actor.ts';
import { changeConfig } from '../../../config/history.ts';
import { EXIT, OperatorError } from '../../../model/errors.ts';

export default class BackupDestinationRemove extends ConfigCommand {
  static override summary = 'Send no more backups to a destination; what is there stays there';
  static override examples = ['<%= config.bin %> backup destination remove offsite'];
  static override args = { name: Args.string({ description: 'its name', required: true }) };

  async run(): Promise<{ name: string }> {
    const { args } = await this.parse(BackupDestinationRemove);
    const { name } = args;
    const db = await this.database();
    await changeBackupSettings(db, { actor: commandActor() }, 'destinations', (settings) => {
      const destinations = settings.destinations.filter((other) => other.name !== name);
      if (destinations.length < settings.destinations.length && destinations.length > 0)
        return { ...settings, destinations };
      throw new OperatorError(
        'DESTINATION_UNKNOWN',
        destinations.length === 0 ? `${name} is the only destination` : `there is no destination ${name}`,
        {
          exitCode: EXIT.precondition,
          hint: 'see ./operator.sh backup destination list',
        },
      );
    });
    await changeConfig(db, (trx) =>
      trx.deleteFrom('kg_api.system_api_keys').where('provider', '=', `backup/${name}`).execute(),
    );
    this.answer(`Backups do not go to ${name} any more.`);
    return { name };
  }
}
