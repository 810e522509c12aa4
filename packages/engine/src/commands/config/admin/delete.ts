import { Args } from '@oclif/core';
import { ConfigCommand } from '../../../cli/config-command.ts';
import { askText } from '../../../cli/prompts.ts';
import { deleteUser, requireUser } from '../../../config/admin.ts';
import { EXIT, OperatorError } from '../../../model/errors.ts';

export default class ConfigAdminDelete extends ConfigCommand {
  static override summary = 'Delete a user; what it stored stays';
  static override examples = [
    '<%= config.bin %> config admin delete ada',
    '<%= config.bin %> config admin delete ada --yes',
  ];
  static override args = { name: Args.string({ description: 'user name', required: true }) };

  async run(): Promise<{ username: string; changed: boolean }> {
    const { args } = await this.parse(ConfigAdminDelete);
    const { name: username } = args;
    const db = await this.database();
    await requireUser(db, username);
    if (!this.globals.yes && !(await this.#isTyped(username)))
      throw new OperatorError('NOT_CONFIRMED', `deleting ${username} was not confirmed`, {
        exitCode: EXIT.usage,
        hint: 'type the name on a terminal, or add --yes',
      });
    await deleteUser(db, { username, actor: this.actor });
    this.answer(`${username} is deleted.`);
    return { username, changed: true };
  }

  async #isTyped(username: string): Promise<boolean> {
    return this.interactive && (await askText(`Type ${username} to delete this user:`, '')) === username;
  }
}
