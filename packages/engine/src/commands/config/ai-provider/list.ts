import { ConfigCommand } from '../../../cli/config-command.ts';
import { table } from '../../../cli/table.ts';
import { type AiProviderSettings, listAiProviders } from '../../../config/ai-provider.ts';

export default class ConfigAiProviderList extends ConfigCommand {
  static override summary = 'List the stored AI providers and their settings';
  static override examples = [
    '<%= config.bin %> config ai-provider list',
    '<%= config.bin %> config ai-provider list --json',
  ];

  async run(): Promise<{ providers: AiProviderSettings[] }> {
    await this.parse(ConfigAiProviderList);
    const providers = await listAiProviders(await this.readDatabase());
    const rows = providers.map(({ provider, model, baseUrl, options, active }) => [
      active ? '*' : '',
      provider,
      model,
      baseUrl ?? 'its own',
      String(options.temperature ?? '-'),
      String(options.maxTokens ?? '-'),
      String(options.concurrency ?? '-'),
    ]);
    this.answer(
      table(['ACTIVE', 'PROVIDER', 'MODEL', 'BASE URL', 'TEMPERATURE', 'MAX TOKENS', 'CONCURRENCY'], rows),
    );
    if (providers.length === 0) this.say('Next: ./operator.sh config ai-provider PROVIDER');
    return { providers };
  }
}
