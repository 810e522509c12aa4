import { ROLES, type Role, type Secret } from '@kg-operator/config';
import { Flags } from '@oclif/core';
import { ConfigCommand } from '../../../cli/config-command.ts';
import { askNewSecret, asValidation } from '../../../cli/prompts.ts';
import { givenSecret, mustBeGiven, secretFlags, secretSource } from '../../../cli/secret-input.ts';
import { checkPassword, checkUsername, findUserSummary, setUser } from '../../../config/admin.ts';

export default class ConfigAdmin extends ConfigCommand {
  static override summary = 'Create a user, or reset a password';
  static override description =
    'The password comes from a prompt, a file, a variable that is named, standard input, or KG_ADMIN_PASSWORD. A new one ends the tokens of before.';
  static override examples = [
    '<%= config.bin %> config admin',
    '<%= config.bin %> config admin --username ada --role user --from-env ADA_PASSWORD',
    'printf %s "$PASSWORD" | <%= config.bin %> config admin --from-stdin',
  ];
  static override flags = {
    username: Flags.string({ description: 'user name', default: 'admin', env: 'KG_ADMIN_USERNAME' }),
    role: Flags.string({
      description: 'what it may do; otherwise as it is, or admin for a new user',
      options: [...ROLES],
    }),
    ...secretFlags('password', 'password'),
  };

  async run(): Promise<{ username: string; role: Role; disabled: boolean; changed: boolean }> {
    const { flags } = await this.parse(ConfigAdmin);
    const { username } = flags;
    checkUsername(username);
    const source = secretSource('password', 'KG_ADMIN_PASSWORD', flags);
    const db = await this.database();
    const given = await givenSecret(source);
    if (!given && !this.interactive) throw mustBeGiven(source);
    const validate = asValidation((secret: Secret) => checkPassword(secret, username));
    const password = given?.secret ?? (await askNewSecret(`Password for ${username}`, validate));
    const { changed } = await setUser(db, {
      username,
      password,
      role: flags.role as Role | undefined,
      source: given?.source ?? null,
      actor: this.actor,
    });
    const { role, disabled } = await findUserSummary(db, username);
    this.report(changed, `${role === 'admin' ? 'Admin' : 'User'} ${username} is set`);
    if (disabled)
      this.warning(`${username} is disabled: ./operator.sh config admin enable ${username} lets it log in`);
    return { username, role, disabled, changed };
  }
}
