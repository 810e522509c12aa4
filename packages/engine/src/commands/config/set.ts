import { Args } from '@oclif/core';
import { ConfigCommand } from '../../cli/config-command.ts';
import { readSettingText, type SettingValue, setSetting, settingText } from '../../config/settings.ts';

export default class ConfigSet extends ConfigCommand {
  static override summary = 'Set a platform setting; the API takes it up within two seconds';
  static override examples = [
    '<%= config.bin %> config set auth.token-lifetime 7200',
    '<%= config.bin %> config set web.title "Our knowledge"',
  ];
  static override args = {
    name: Args.string({ description: 'setting; config get lists them', required: true }),
    value: Args.string({ description: 'its value', required: true }),
  };

  async run(): Promise<{ name: string; value: SettingValue; changed: boolean }> {
    const { args } = await this.parse(ConfigSet);
    const { name } = args;
    const value = readSettingText(name, args.value);
    const { changed } = await setSetting(await this.database(), { name, value, actor: this.actor });
    this.report(changed, `${name} is ${settingText(name as never, value)}`);
    return { name, value, changed };
  }
}
