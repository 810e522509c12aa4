import { Args } from '@oclif/core';
import { ConfigCommand } from '../../../cli/config-command.ts';
import { setUserDisabled } from '../../../config/admin.ts';

export default class ConfigAdminEnable extends ConfigCommand {
  static override summary = 'Let a disabled user log in again';
  static override examples = [
    '<%= config.bin %> config admin enable ada',
    '<%= config.bin %> config admin enable ada --json',
  ];
  static override args = { name: Args.string({ description: 'user name', required: true }) };

  async run(): Promise<{ username: string; changed: boolean }> {
    const { args } = await this.parse(ConfigAdminEnable);
    const input = { username: args.name, disabled: false, actor: this.actor };
    const { changed } = await setUserDisabled(await this.database(), input);
    this.report(changed, `${args.name} is enabled`);
    return { username: args.name, changed };
  }
}
