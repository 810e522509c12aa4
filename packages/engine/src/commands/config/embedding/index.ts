import {
  EMBEDDING_PROVIDERS,
  type EmbeddingProvider,
  effectiveEmbeddingBaseUrl,
  PRECISIONS,
  type Precision,
} from '@kg-operator/config';
import { Args, Flags } from '@oclif/core';
import { ConfigCommand } from '../../../cli/config-command.ts';
import { testFlags, testProvider, wantsTest } from '../../../cli/provider-test.ts';
import { openApiKey } from '../../../config/api-key.ts';
import {
  type EmbeddingSettings,
  listEmbeddings,
  MAX_DIMENSIONS,
  mergeEmbedding,
  setEmbedding,
} from '../../../config/embedding.ts';
import type { ProbeResult } from '../../../config/probe.ts';

type Result = EmbeddingSettings & { changed: boolean; discarded: number; test: ProbeResult | null };

export default class ConfigEmbedding extends ConfigCommand {
  static override summary = 'Choose the provider of embeddings, its model and the length of its vectors';
  static override description =
    'What is not said stays as it was stored for the provider. Vectors of another model or length can not be compared with new ones: where some are stored, such a change is refused without --discard-embeddings, which deletes them.';
  static override examples = [
    '<%= config.bin %> config embedding local',
    '<%= config.bin %> config embedding openai --model text-embedding-3-large --dimensions 3072',
    '<%= config.bin %> config embedding ollama --model mxbai-embed-large --dimensions 1024 --discard-embeddings',
  ];
  static override args = {
    provider: Args.string({ description: 'provider', options: [...EMBEDDING_PROVIDERS], required: true }),
  };
  static override flags = {
    model: Flags.string({ description: 'model, as the provider writes it' }),
    dimensions: Flags.integer({ description: "length of the model's vectors", min: 1, max: MAX_DIMENSIONS }),
    precision: Flags.string({ description: 'of a number in a vector', options: [...PRECISIONS] }),
    'base-url': Flags.string({ description: 'address of a compatible server', helpValue: 'URL' }),
    'discard-embeddings': Flags.boolean({ description: 'delete the stored vectors that no longer fit' }),
    ...testFlags,
  };

  async run(): Promise<Result> {
    const { args, flags } = await this.parse(ConfigEmbedding);
    const provider = args.provider as EmbeddingProvider;
    const input = {
      provider,
      model: flags.model,
      dimensions: flags.dimensions,
      baseUrl: flags['base-url'],
      precision: flags.precision as Precision | undefined,
      discardEmbeddings: flags['discard-embeddings'],
      actor: this.actor,
    };
    const db = await this.database();
    const stored = (await listEmbeddings(db)).find((one) => one.provider === provider);
    const wanted = mergeEmbedding(input, stored);
    const baseUrl = effectiveEmbeddingBaseUrl(provider, wanted.baseUrl, this.host);
    const key = provider === 'openai' ? await openApiKey(db, provider, this.encryptionKey) : null;
    const canTest = provider !== 'local' && (provider !== 'openai' || key !== null);
    if (flags.test && !canTest) this.warning(`${provider} was not asked: there is no key, or nothing to ask`);
    const test =
      canTest && baseUrl !== null && wantsTest(flags.test, this.jsonEnabled())
        ? await testProvider({ provider, baseUrl, key, model: wanted.model }, flags.force, this.conversation)
        : null;

    const result = await setEmbedding(db, input);
    this.report(
      result.changed,
      `Embedding provider is ${provider} ${result.model}, ${result.dimensions} dimensions, ${result.precision}`,
    );
    if (result.discarded > 0) this.warning(`${result.discarded} embeddings that no longer fit were deleted`);
    if (provider === 'openai' && key === null)
      this.warning('no API key is stored for openai yet: ./operator.sh config api-key openai');
    return { ...result, test };
  }
}
