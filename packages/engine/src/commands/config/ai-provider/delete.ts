import { AI_PROVIDERS, type AiProvider } from '@kg-operator/config';
import { Args } from '@oclif/core';
import { ConfigCommand } from '../../../cli/config-command.ts';
import { deleteAiProvider } from '../../../config/ai-provider.ts';

export default class ConfigAiProviderDelete extends ConfigCommand {
  static override summary = 'Forget the settings of an AI provider that is not active; its API key stays';
  static override examples = [
    '<%= config.bin %> config ai-provider delete ollama',
    '<%= config.bin %> config api-key delete openrouter',
  ];
  static override args = {
    provider: Args.string({ description: 'provider', options: [...AI_PROVIDERS], required: true }),
  };

  async run(): Promise<{ provider: string; changed: boolean }> {
    const { args } = await this.parse(ConfigAiProviderDelete);
    const provider = args.provider as AiProvider;
    await deleteAiProvider(await this.database(), { provider, actor: this.actor });
    this.answer(`The settings of ${provider} are deleted.`);
    return { provider, changed: true };
  }
}
