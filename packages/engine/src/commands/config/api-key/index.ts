import { type AiProvider, effectiveBaseUrl, KEYED_AI_PROVIDERS } from '@kg-operator/config';
import { Args } from '@oclif/core';
import { ConfigCommand } from '../../../cli/config-command.ts';
import { askSecret, asValidation } from '../../../cli/prompts.ts';
import { testFlags, testProvider, wantsTest } from '../../../cli/provider-test.ts';
import { givenSecret, mustBeGiven, secretFlags, secretSource } from '../../../cli/secret-input.ts';
import { listAiProviders } from '../../../config/ai-provider.ts';
import { checkApiKey, requireKey, setApiKey } from '../../../config/api-key.ts';
import type { ProbeResult } from '../../../config/probe.ts';

export default class ConfigApiKey extends ConfigCommand {
  static override summary = "Store a provider's API key, encrypted";
  static override description =
    'The key comes from a prompt, a file, a variable that is named, standard input, or KG_AI_API_KEY.';
  static override examples = [
    '<%= config.bin %> config api-key openai',
    '<%= config.bin %> config api-key openai --from-env OPENAI_API_KEY --test',
    '<%= config.bin %> config api-key openai --from-stdin < key.txt',
  ];
  static override args = {
    provider: Args.string({ description: 'provider', options: [...KEYED_AI_PROVIDERS], required: true }),
  };
  static override flags = { ...testFlags, ...secretFlags('API key', 'key') };

  async run(): Promise<{
    provider: string;
    fingerprint: string | null;
    changed: boolean;
    test: ProbeResult | null;
  }> {
    const { args, flags } = await this.parse(ConfigApiKey);
    const provider = args.provider as Exclude<AiProvider, 'local'>;
    const source = secretSource('API key', 'KG_AI_API_KEY', flags);
    const db = await this.database();
    const given = await givenSecret(source);
    if (!given && !this.interactive) throw mustBeGiven(source);
    const key = given?.secret ?? (await askSecret(`API key for ${provider}`, asValidation(checkApiKey)));
    checkApiKey(key);

    const settings = (await listAiProviders(db)).find((one) => one.provider === provider);
    // A provider without an address of its own can be asked when it has been given one.
    const canTest = provider !== 'openai-compatible' || settings !== undefined;
    const test =
      canTest && wantsTest(flags.test, this.jsonEnabled())
        ? await testProvider(
            {
              provider,
              baseUrl: effectiveBaseUrl(provider, settings?.baseUrl ?? null, this.host),
              key,
              model: null,
            },
            flags.force,
            this.conversation,
          )
        : null;

    const { changed } = await setApiKey(db, {
      provider,
      key,
      source: given?.source ?? null,
      encryptionKey: this.encryptionKey,
      actor: this.actor,
    });
    const { fingerprint } = await requireKey(db, provider);
    this.report(changed, `The ${provider} API key is stored, encrypted; its fingerprint is ${fingerprint}`);
    return { provider, fingerprint, changed, test };
  }
}
