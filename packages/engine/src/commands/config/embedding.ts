import { EMBEDDING_PROVIDERS } from '@kg-operator/config';
import { Args, Flags } from '@oclif/core';
import { ConfigCommand } from '../../cli/config-command.ts';
import { setEmbedding } from '../../config/embedding.ts';

export default class ConfigEmbedding extends ConfigCommand {
  static override summary = 'Choose the provider of embeddings';
  static override examples = [
    '<%= config.bin %> config embedding local',
    '<%= config.bin %> config embedding openai',
  ];
  static override args = {
    provider: Args.string({ description: 'provider', options: [...EMBEDDING_PROVIDERS], required: true }),
  };
  static override flags = {
    model: Flags.string({ description: 'model', dependsOn: ['dimensions'] }),
    dimensions: Flags.integer({
      description: "length of the model's vectors",
      min: 1,
      max: 16000,
      dependsOn: ['model'],
    }),
  };

  async run(): Promise<{ provider: string; model: string; dimensions: number; changed: boolean }> {
    const { args, flags } = await this.parse(ConfigEmbedding);
    const provider = args.provider as (typeof EMBEDDING_PROVIDERS)[number];
    const { changed, model, dimensions } = await setEmbedding(await this.database(), {
      provider,
      model: flags.model,
      dimensions: flags.dimensions,
      actor: this.actor,
    });
    this.report(changed, `Embedding provider is ${provider} ${model}, ${dimensions} dimensions`);
    return { provider, model, dimensions, changed };
  }
}
