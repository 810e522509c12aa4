import { age } from '../../../cli/age.ts';
import { ConfigCommand } from '../../../cli/config-command.ts';
import { table } from '../../../cli/table.ts';
import { listUsers, type UserSummary } from '../../../config/admin.ts';

export default class ConfigAdminList extends ConfigCommand {
  static override summary = 'List the users: role, state, age of the password';
  static override examples = [
    '<%= config.bin %> config admin list',
    '<%= config.bin %> config admin list --json',
  ];

  async run(): Promise<{ users: UserSummary[] }> {
    await this.parse(ConfigAdminList);
    const users = await listUsers(await this.readDatabase());
    const rows = users.map(({ username, role, disabled, passwordSetAt }) => [
      username,
      role,
      disabled ? 'disabled' : 'enabled',
      age(passwordSetAt),
    ]);
    this.answer(table(['USER', 'ROLE', 'STATE', 'PASSWORD SET'], rows));
    if (users.length === 0) this.say('Next: ./operator.sh config admin');
    return { users };
  }
}
