import { keyIdOf } from '@kg-operator/config';
import { type ConfigReport, examineConfiguration } from '../../checks/configuration.ts';
import { ConfigCommand } from '../../cli/config-command.ts';
import { showConfig } from '../../cli/show-config.ts';
import { encryptionKeyIfAny } from '../../model/settings.ts';

export default class ConfigShow extends ConfigCommand {
  static override summary =
    'Show everything that is configured, and why the platform is not ready; never a secret';
  static override examples = ['<%= config.bin %> config show', '<%= config.bin %> config show --json'];

  async run(): Promise<ConfigReport> {
    await this.parse(ConfigShow);
    const db = await this.readDatabase();
    const key = encryptionKeyIfAny(this.context.settings);
    const report = await examineConfiguration(db, key && { id: keyIdOf(key), key });
    this.answer(showConfig(report));
    return report;
  }
}
