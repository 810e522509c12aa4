import { Args } from '@oclif/core';
import { ConfigCommand } from '../../../cli/config-command.ts';
import { setUserDisabled } from '../../../config/admin.ts';

export default class ConfigAdminDisable extends ConfigCommand {
  static override summary = 'Keep a user from logging in; its tokens are refused';
  static override examples = [
    '<%= config.bin %> config admin disable ada',
    '<%= config.bin %> config admin disable ada --json',
  ];
  static override args = { name: Args.string({ description: 'user name', required: true }) };

  async run(): Promise<{ username: string; changed: boolean }> {
    const { args } = await this.parse(ConfigAdminDisable);
    const input = { username: args.name, disabled: true, actor: this.actor };
    const { changed } = await setUserDisabled(await this.database(), input);
    this.report(changed, `${args.name} is disabled`);
    return { username: args.name, changed };
  }
}
