import { AI_PROVIDER_FACTS, AI_PROVIDERS, type AiProvider, effectiveBaseUrl } from '@kg-operator/config';
import { Args } from '@oclif/core';
import { ConfigCommand } from '../../../cli/config-command.ts';
import { describeProbe, exitCodeOf } from '../../../cli/provider-test.ts';
import { listAiProviders } from '../../../config/ai-provider.ts';
import { listApiKeys, openApiKey } from '../../../config/api-key.ts';
import { type ProbeResult, probeProvider } from '../../../config/probe.ts';
import { EXIT, OperatorError } from '../../../model/errors.ts';

type Remote = Exclude<AiProvider, 'local'>;
const REMOTE = AI_PROVIDERS.filter((provider): provider is Remote => provider !== 'local');

export default class ConfigApiKeyTest extends ConfigCommand {
  static override summary = 'Ask the providers whether they take the stored keys, and have the stored models';
  static override description =
    'Without a provider: every one that is stored. Nothing is changed, and nothing is spent.';
  static override examples = [
    '<%= config.bin %> config api-key test',
    '<%= config.bin %> config api-key test openai --json',
  ];
  static override args = { provider: Args.string({ description: 'provider', options: REMOTE }) };

  async run(): Promise<{ tests: ProbeResult[] }> {
    const { args } = await this.parse(ConfigApiKeyTest);
    const db = await this.readDatabase();
    const settings = new Map((await listAiProviders(db)).map((one) => [one.provider, one]));
    const keys = new Set((await listApiKeys(db, this.encryptionKey)).map(({ provider }) => provider));
    const chosen = args.provider
      ? [args.provider as Remote]
      : REMOTE.filter((provider) => settings.has(provider) || keys.has(provider));
    const tests: ProbeResult[] = [];
    for (const provider of chosen) {
      const stored = settings.get(provider);
      const { key: wants, baseUrl } = AI_PROVIDER_FACTS[provider];
      if (baseUrl === null && !stored) {
        this.warning(
          `${provider} has no address yet: ./operator.sh config ai-provider ${provider} --base-url URL`,
        );
        continue;
      }
      if (wants === 'required' && !keys.has(provider)) {
        this.warning(`no API key is stored for ${provider}: ./operator.sh config api-key ${provider}`);
        continue;
      }
      const target = {
        provider,
        baseUrl: effectiveBaseUrl(provider, stored?.baseUrl ?? null, this.host),
        key: await openApiKey(db, provider, this.encryptionKey),
        model: stored?.model ?? null,
      };
      this.say(`Asking ${target.baseUrl} …`);
      const result = await probeProvider(target, this.context.fetch);
      if (result.outcome === 'ok') this.answer(describeProbe(result));
      tests.push(result);
    }
    this.#judge(tests);
    return { tests };
  }

  #judge(tests: ProbeResult[]): void {
    if (tests.length === 0)
      throw new OperatorError('NOTHING_TO_TEST', 'there is no key to test', {
        exitCode: EXIT.configuration,
        hint: 'store one: ./operator.sh config api-key PROVIDER',
      });
    const failed = tests.filter(({ outcome }) => outcome !== 'ok');
    if (failed.length === 0) return;
    throw new OperatorError(
      'KEY_TEST_FAILED',
      failed.length === 1
        ? describeProbe(failed[0] as ProbeResult)
        : `${failed.length} of ${tests.length} tests failed`,
      {
        exitCode: exitCodeOf(tests),
        details: failed.length === 1 ? [] : failed.map(describeProbe),
        hint: 'nothing was changed',
      },
    );
  }
}
