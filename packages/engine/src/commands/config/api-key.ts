import { KEYED_AI_PROVIDERS } from '@kg-operator/config';
import { Args, Flags } from '@oclif/core';
import { ConfigCommand } from '../../cli/config-command.ts';
import { askSecret, asValidation } from '../../cli/prompts.ts';
import { givenSecret, mustBeGiven } from '../../cli/secret-input.ts';
import { checkApiKey, setApiKey } from '../../config/api-key.ts';

export default class ConfigApiKey extends ConfigCommand {
  static override summary = "Store a provider's API key, encrypted";
  static override description =
    'The key comes from a prompt, standard input, a file beneath the installation, or KG_AI_API_KEY.';
  static override examples = [
    '<%= config.bin %> config api-key openai',
    '<%= config.bin %> config api-key openai --key-stdin < key.txt',
  ];
  static override args = {
    provider: Args.string({ description: 'provider', options: [...KEYED_AI_PROVIDERS], required: true }),
  };
  static override flags = {
    'key-file': Flags.string({ description: 'file that holds the API key', helpValue: 'FILE' }),
    'key-stdin': Flags.boolean({
      description: 'read the API key from standard input',
      exclusive: ['key-file'],
    }),
  };

  async run(): Promise<{ provider: string; changed: boolean }> {
    const { args, flags } = await this.parse(ConfigApiKey);
    const source = {
      what: 'API key',
      variable: 'KG_AI_API_KEY',
      file: flags['key-file'],
      fileFlag: '--key-file',
      stdin: flags['key-stdin'],
    };
    const db = await this.database();
    const given = await givenSecret(source);
    if (!given && !this.interactive) throw mustBeGiven(source, ', or pipe it with --key-stdin');
    const key = given ?? (await askSecret(`API key for ${args.provider}`, asValidation(checkApiKey)));
    const { changed } = await setApiKey(db, {
      provider: args.provider,
      key,
      encryptionKey: this.encryptionKey,
      actor: this.actor,
    });
    this.report(changed, `The ${args.provider} API key is stored, encrypted`);
    return { provider: args.provider, changed };
  }
}
