import { Args, Flags } from '@oclif/core';
import { OperatorCommand } from '../../cli/base-command.ts';
import { readConfigurationFile } from '../../cli/import-file.ts';
import { assertSecretsThere } from '../../config/document-secrets.ts';
import { checkedHostLines, findScript } from '../../config/host-section.ts';

/** For install.sh, which runs it in a container of the image that it has verified, before there is an installation. */
export default class ConfigHost extends OperatorCommand {
  static override hidden = true;
  static override summary =
    'Check a configuration file, and print its host section as lines of .operator.conf';
  static override args = {
    file: Args.string({ description: 'YAML or JSON file; - for standard input', required: true }),
  };
  static override flags = {
    name: Flags.string({ description: 'what messages call standard input', helpValue: 'FILE' }),
    secrets: Flags.boolean({ description: 'every secret that it refers to must be there' }),
  };

  async run(): Promise<{ lines: string[] }> {
    const { args, flags } = await this.parse(ConfigHost);
    const file = await readConfigurationFile(args.file, flags.name);
    const lines = checkedHostLines(file, findScript(this.config.root));
    if (flags.secrets) {
      const root = process.env.KG_ROOT ?? process.cwd();
      assertSecretsThere(file, { env: process.env, root, inContainer: true });
    }
    for (const line of lines) this.log(line);
    return { lines };
  }
}
