import { type AiProvider, KEYED_AI_PROVIDERS } from '@kg-operator/config';
import { Args } from '@oclif/core';
import { ConfigCommand } from '../../../cli/config-command.ts';
import { deleteApiKey, requireKey, usesOfKeys } from '../../../config/api-key.ts';

export default class ConfigApiKeyDelete extends ConfigCommand {
  static override summary = "Delete a provider's API key";
  static override examples = [
    '<%= config.bin %> config api-key delete openrouter',
    '<%= config.bin %> config api-key delete openai --yes',
  ];
  static override args = {
    provider: Args.string({ description: 'provider', options: [...KEYED_AI_PROVIDERS], required: true }),
  };

  async run(): Promise<{ provider: string; changed: boolean }> {
    const { args } = await this.parse(ConfigApiKeyDelete);
    const provider = args.provider as AiProvider;
    const db = await this.database();
    await requireKey(db, provider);
    const use = (await usesOfKeys(db)).get(provider);
    // Without a terminal the refusal below says what needs it.
    if (use !== undefined && this.interactive)
      await this.confirm(`This is the key of ${use}; without it the platform is incomplete. Delete it?`);
    await deleteApiKey(db, {
      provider,
      evenIfNeeded: this.globals.yes || (use !== undefined && this.interactive),
      actor: this.actor,
    });
    this.answer(`The ${provider} API key is deleted.`);
    return { provider, changed: true };
  }
}
