import { Flags } from '@oclif/core';
import { ConfigCommand } from '../../cli/config-command.ts';
import { askNewSecret, asValidation } from '../../cli/prompts.ts';
import { givenSecret, mustBeGiven } from '../../cli/secret-input.ts';
import { checkPassword, setUser } from '../../config/admin.ts';

export default class ConfigAdmin extends ConfigCommand {
  static override summary = 'Create the admin user, or set its password';
  static override description =
    'The password comes from a prompt, standard input, a file beneath the installation, or KG_ADMIN_PASSWORD.';
  static override examples = [
    '<%= config.bin %> config admin',
    'printf %s "$PASSWORD" | <%= config.bin %> config admin --password-stdin',
  ];
  static override flags = {
    username: Flags.string({ description: 'user name', default: 'admin', env: 'KG_ADMIN_USERNAME' }),
    'password-file': Flags.string({ description: 'file that holds the password', helpValue: 'FILE' }),
    'password-stdin': Flags.boolean({
      description: 'read the password from standard input',
      exclusive: ['password-file'],
    }),
  };

  async run(): Promise<{ username: string; changed: boolean }> {
    const { flags } = await this.parse(ConfigAdmin);
    const source = {
      what: 'admin password',
      variable: 'KG_ADMIN_PASSWORD',
      file: flags['password-file'],
      fileFlag: '--password-file',
      stdin: flags['password-stdin'],
    };
    const db = await this.database();
    const given = await givenSecret(source);
    if (!given && !this.interactive) throw mustBeGiven(source, ', or pipe it with --password-stdin');
    const password =
      given ??
      (await askNewSecret(
        `Password for ${flags.username}`,
        asValidation((secret) => checkPassword(secret, flags.username)),
      ));
    const { changed } = await setUser(db, { username: flags.username, password, actor: this.actor });
    this.report(changed, `Admin user ${flags.username} is set`);
    return { username: flags.username, changed };
  }
}
