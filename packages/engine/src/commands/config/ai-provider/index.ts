import {
  AI_PROVIDER_FACTS,
  AI_PROVIDERS,
  type AiOptions,
  type AiProvider,
  effectiveBaseUrl,
} from '@kg-operator/config';
import { Args, Flags } from '@oclif/core';
import { ConfigCommand } from '../../../cli/config-command.ts';
import { askSecret, asValidation } from '../../../cli/prompts.ts';
import { testFlags, testProvider, wantsTest } from '../../../cli/provider-test.ts';
import { type GivenSecret, givenSecret, secretFlags, secretSource } from '../../../cli/secret-input.ts';
import {
  type AiProviderInput,
  type AiProviderSettings,
  listAiProviders,
  mergeAiSettings,
  setAiProviderIn,
} from '../../../config/ai-provider.ts';
import { checkApiKey, openApiKey, setApiKeyIn } from '../../../config/api-key.ts';
import { changeConfig } from '../../../config/history.ts';
import type { ProbeResult } from '../../../config/probe.ts';
import { EXIT, OperatorError } from '../../../model/errors.ts';

const number = Flags.custom<number>({
  async parse(text) {
    if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
    throw new OperatorError('OPTION_INVALID', `${JSON.stringify(text)} is no number`, {
      exitCode: EXIT.usage,
      hint: 'write it like 0.2 or 4000',
    });
  },
});
/** Option on the command line → name in the settings. */
const OPTIONS = {
  temperature: 'temperature',
  'max-tokens': 'maxTokens',
  concurrency: 'concurrency',
} as const;
const RESETTABLE = ['model', 'base-url', ...Object.keys(OPTIONS)];

type Result = AiProviderSettings & { changed: boolean; keyStored: boolean; test: ProbeResult | null };

export default class ConfigAiProvider extends ConfigCommand {
  static override summary = 'Choose the provider that extracts concepts, and store its settings and key';
  static override description =
    'What is not said stays as it was stored, so coming back to a provider finds its settings again. The key comes from a prompt, a file, a variable that is named, standard input, or KG_AI_API_KEY; a stored key is kept when none is given. KG_AI_MODEL and KG_AI_BASE_URL stand for --model and --base-url.';
  static override examples = [
    '<%= config.bin %> config ai-provider openai --model gpt-5-mini --temperature 0.2',
    '<%= config.bin %> config ai-provider openai --default model --default temperature',
    '<%= config.bin %> config ai-provider openai-compatible --base-url https://llm.example.org/v1 --model llama3.1 --from-env LLM_KEY',
    '<%= config.bin %> config ai-provider local',
  ];
  static override args = {
    provider: Args.string({ description: 'provider', options: [...AI_PROVIDERS], required: true }),
  };
  static override flags = {
    model: Flags.string({
      description: "model, as the provider writes it; otherwise the stored one, or the provider's small one",
    }),
    'base-url': Flags.string({ description: 'address of a compatible server', helpValue: 'URL' }),
    temperature: number({ description: '0 to 2 (Anthropic: 1)', helpValue: 'NUMBER' }),
    'max-tokens': number({ description: 'most tokens of an answer', helpValue: 'NUMBER' }),
    concurrency: number({ description: 'most requests at once from one API process', helpValue: 'NUMBER' }),
    default: Flags.string({
      description: "take an option back to the provider's default",
      options: RESETTABLE,
      multiple: true,
      multipleNonGreedy: true,
    }),
    ...testFlags,
    ...secretFlags('API key', 'key'),
  };

  async run(): Promise<Result> {
    const { args, flags } = await this.parse(ConfigAiProvider);
    const provider = args.provider as AiProvider;
    const input = this.#input(provider, flags);
    const isKeyed = AI_PROVIDER_FACTS[provider].key !== 'none';
    if (!isKeyed && (flags['from-file'] || flags['from-env'] || flags['from-stdin']))
      throw new OperatorError('KEY_NOT_USED', `${provider} has no API key`, {
        exitCode: EXIT.usage,
        hint: 'leave the key away, or name the provider it is meant for',
      });
    const db = await this.database();
    const stored = (await listAiProviders(db)).find((one) => one.provider === provider);
    const wanted = mergeAiSettings(input, stored);
    const given = isKeyed ? await givenSecret(secretSource('API key', 'KG_AI_API_KEY', flags)) : null;
    if (given) checkApiKey(given.secret);
    const storedKey = isKeyed ? await openApiKey(db, provider, this.encryptionKey) : null;
    const key = given ?? (storedKey ? null : await this.#askKey(provider));

    const secret = key?.secret ?? storedKey;
    const canTest =
      provider !== 'local' && (secret !== null || AI_PROVIDER_FACTS[provider].key !== 'required');
    if (flags.test && !canTest) this.warning(`${provider} was not asked: there is no key, or nothing to ask`);
    const test =
      canTest && wantsTest(flags.test, this.jsonEnabled())
        ? await testProvider(
            {
              provider,
              baseUrl: effectiveBaseUrl(provider, wanted.baseUrl, this.host),
              key: secret,
              model: wanted.model,
            },
            flags.force,
            this.conversation,
          )
        : null;

    const { keyChanged, ...settings } = await changeConfig(db, async (trx) => {
      const change = key
        ? await setApiKeyIn(trx, {
            provider,
            key: key.secret,
            source: key.source,
            encryptionKey: this.encryptionKey,
            actor: this.actor,
          })
        : { changed: false };
      return { ...(await setAiProviderIn(trx, input)), keyChanged: change.changed };
    });
    const changed = settings.changed || keyChanged;
    this.report(changed, describe(settings));
    const keyStored = secret !== null;
    if (!keyStored && AI_PROVIDER_FACTS[provider].key === 'required')
      this.warning(`no API key is stored for ${provider} yet: ./operator.sh config api-key ${provider}`);
    return { ...settings, changed, keyStored, test };
  }

  /** What the command line says, and for other providers than `local` the variables, which may be meant for those. */
  #input(
    provider: AiProvider,
    flags: Record<'model' | 'base-url', string | undefined> & {
      default: string[] | undefined;
    } & Record<keyof typeof OPTIONS, number | undefined>,
  ): AiProviderInput {
    const resets = new Set(flags.default);
    const variables = provider === 'local' ? {} : process.env;
    const value = <T>(name: string, given: T | undefined): T | null | undefined =>
      given ?? (resets.has(name) ? null : undefined);
    const both = RESETTABLE.find(
      (name) => resets.has(name) && flags[name as keyof typeof flags] !== undefined,
    );
    if (both)
      throw new OperatorError('OPTION_INVALID', `--${both} is given and taken back to its default at once`, {
        exitCode: EXIT.usage,
        hint: `leave --default ${both} or --${both} away`,
      });
    const options: { [Name in keyof AiOptions]?: number | null | undefined } = {};
    for (const [flag, name] of Object.entries(OPTIONS))
      options[name] = value(flag, flags[flag as keyof typeof OPTIONS]);
    return {
      provider,
      model: value(
        'model',
        flags.model ?? (resets.has('model') ? undefined : variables.KG_AI_MODEL || undefined),
      ),
      baseUrl: value(
        'base-url',
        flags['base-url'] ?? (resets.has('base-url') ? undefined : variables.KG_AI_BASE_URL || undefined),
      ),
      options,
      actor: this.actor,
    };
  }

  async #askKey(provider: AiProvider): Promise<GivenSecret | null> {
    if (AI_PROVIDER_FACTS[provider].key !== 'required' || !this.interactive) return null;
    return { secret: await askSecret(`API key for ${provider}`, asValidation(checkApiKey)), source: null };
  }
}

function describe({ provider, model, baseUrl, options }: AiProviderSettings): string {
  if (provider === 'local') return 'AI provider is local: extraction by rules, no key needed';
  const chosen = Object.entries(OPTIONS).flatMap(([flag, name]) =>
    options[name] === undefined ? [] : [`${flag} ${options[name]}`],
  );
  return [`AI provider is ${provider} ${model}${baseUrl ? ` at ${baseUrl}` : ''}`, ...chosen].join(', ');
}
