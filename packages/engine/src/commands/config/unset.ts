import { Args } from '@oclif/core';
import { ConfigCommand } from '../../cli/config-command.ts';
import { listSettings, type SettingValue, unsetSetting } from '../../config/settings.ts';

export default class ConfigUnset extends ConfigCommand {
  static override summary = 'Take a platform setting back to its default';
  static override examples = [
    '<%= config.bin %> config unset auth.token-lifetime',
    '<%= config.bin %> config unset web.title --json',
  ];
  static override args = { name: Args.string({ description: 'setting', required: true }) };

  async run(): Promise<{ name: string; value: SettingValue | null; changed: boolean }> {
    const { args } = await this.parse(ConfigUnset);
    const { name } = args;
    const db = await this.database();
    const { changed } = await unsetSetting(db, { name, actor: this.actor });
    // What is no setting of this version has no default.
    const value = (await listSettings(db)).find((setting) => setting.name === name)?.default ?? null;
    this.report(changed, value === null ? `${name} is removed` : `${name} is ${value}, its default`);
    return { name, value, changed };
  }
}
