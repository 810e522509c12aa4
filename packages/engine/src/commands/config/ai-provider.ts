import { AI_PROVIDERS } from '@kg-operator/config';
import { Args, Flags } from '@oclif/core';
import { ConfigCommand } from '../../cli/config-command.ts';
import { askSecret, asValidation } from '../../cli/prompts.ts';
import { givenSecret } from '../../cli/secret-input.ts';
import { setAiProvider } from '../../config/ai-provider.ts';
import { checkApiKey, setApiKey } from '../../config/api-key.ts';

export default class ConfigAiProvider extends ConfigCommand {
  static override summary = 'Choose the provider that extracts concepts, and store its key';
  static override description =
    'The key comes from a prompt, standard input, a file beneath the installation, or KG_AI_API_KEY; a stored key is kept when none is given.';
  static override examples = [
    '<%= config.bin %> config ai-provider openai',
    '<%= config.bin %> config ai-provider local',
    '<%= config.bin %> config ai-provider openai --model llama3.1 --base-url http://host.docker.internal:11434/v1',
  ];
  static override args = {
    provider: Args.string({ description: 'provider', options: [...AI_PROVIDERS], required: true }),
  };
  static override flags = {
    model: Flags.string({
      description: "model; the provider's small general one by default",
      env: 'KG_AI_MODEL',
    }),
    'base-url': Flags.string({
      description: 'address of a compatible server',
      env: 'KG_AI_BASE_URL',
      helpValue: 'URL',
    }),
    'key-file': Flags.string({ description: 'file that holds the API key', helpValue: 'FILE' }),
    'key-stdin': Flags.boolean({
      description: 'read the API key from standard input',
      exclusive: ['key-file'],
    }),
  };

  async run(): Promise<{
    provider: string;
    model: string;
    baseUrl: string | null;
    changed: boolean;
    keyStored: boolean;
  }> {
    const { args, flags } = await this.parse(ConfigAiProvider);
    const provider = args.provider as (typeof AI_PROVIDERS)[number];
    if (provider === 'local') return this.#chooseLocal();
    const db = await this.database();
    const stored = await db
      .selectFrom('kg_api.system_api_keys')
      .select('provider')
      .where('provider', '=', provider)
      .executeTakeFirst();
    const given = await givenSecret({
      what: 'API key',
      variable: 'KG_AI_API_KEY',
      file: flags['key-file'],
      fileFlag: '--key-file',
      stdin: flags['key-stdin'],
    });
    const key =
      given ??
      (!stored && this.interactive
        ? await askSecret(`API key for ${provider}`, asValidation(checkApiKey))
        : null);
    if (key) checkApiKey(key);
    const provided = await setAiProvider(db, {
      provider,
      model: flags.model,
      baseUrl: flags['base-url'],
      actor: this.actor,
    });
    const { model, baseUrl } = provided;
    const keyChange = key
      ? await setApiKey(db, { provider, key, encryptionKey: this.encryptionKey, actor: this.actor })
      : { changed: false };
    const changed = provided.changed || keyChange.changed;
    this.report(changed, `AI provider is ${provider} ${model}${baseUrl ? ` at ${baseUrl}` : ''}`);
    const keyStored = Boolean(stored || key);
    if (!keyStored)
      this.warning(`no API key is stored for ${provider} yet: ./operator.sh config api-key ${provider}`);
    return { provider, model, baseUrl, changed, keyStored };
  }

  /** The rules inside the API have no model, address or key to choose; what variables say about those is meant for the others. */
  async #chooseLocal() {
    const provider = 'local';
    const choice = { provider, model: 'rules', baseUrl: null } as const;
    const { changed } = await setAiProvider(await this.database(), { provider, actor: this.actor });
    this.report(changed, 'AI provider is local: extraction by rules, no key needed');
    return { ...choice, changed, keyStored: false };
  }
}
