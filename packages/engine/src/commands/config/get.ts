import { Args } from '@oclif/core';
import { ConfigCommand } from '../../cli/config-command.ts';
import { paint } from '../../cli/style.ts';
import { table } from '../../cli/table.ts';
import { listSettings, requireSetting, type SettingView, settingText } from '../../config/settings.ts';

export default class ConfigGet extends ConfigCommand {
  static override summary = 'Print the value of a platform setting, or all of them with what they mean';
  static override examples = [
    '<%= config.bin %> config get',
    'lifetime=$(<%= config.bin %> config get auth.token-lifetime)',
  ];
  static override args = { name: Args.string({ description: 'setting' }) };

  async run(): Promise<SettingView | { settings: SettingView[] }> {
    const { args } = await this.parse(ConfigGet);
    const name = args.name === undefined ? undefined : requireSetting(args.name);
    const settings = await listSettings(await this.readDatabase());
    const setting = settings.find((one) => one.name === name);
    if (setting) {
      this.answer(settingText(setting.name, setting.value));
      return setting;
    }
    const rows = settings.map(({ name, value, default: usual, allowed }) => [
      name,
      settingText(name, value),
      settingText(name, usual),
      allowed,
    ]);
    const [header, ...lines] = table(['SETTING', 'VALUE', 'DEFAULT', 'CAN BE'], rows).split('\n');
    const described = lines.flatMap((line, index) => [
      line,
      paint('dim', `  ${settings[index]?.description}`, process.stdout),
    ]);
    this.answer([header, ...described].join('\n'));
    return { settings };
  }
}
