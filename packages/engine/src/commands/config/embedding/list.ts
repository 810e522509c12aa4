import { ConfigCommand } from '../../../cli/config-command.ts';
import { table } from '../../../cli/table.ts';
import { countEmbeddings, type EmbeddingSettings, listEmbeddings } from '../../../config/embedding.ts';

export default class ConfigEmbeddingList extends ConfigCommand {
  static override summary = 'List the stored providers of embeddings, and how many vectors there are';
  static override examples = [
    '<%= config.bin %> config embedding list',
    '<%= config.bin %> config embedding list --json',
  ];

  async run(): Promise<{ providers: EmbeddingSettings[]; embeddings: number }> {
    await this.parse(ConfigEmbeddingList);
    const db = await this.readDatabase();
    const providers = await listEmbeddings(db);
    const embeddings = await countEmbeddings(db);
    const rows = providers.map(({ provider, model, dimensions, precision, baseUrl, active }) => [
      active ? '*' : '',
      provider,
      model,
      String(dimensions),
      precision,
      baseUrl ?? 'its own',
    ]);
    this.answer(table(['ACTIVE', 'PROVIDER', 'MODEL', 'DIMENSIONS', 'PRECISION', 'BASE URL'], rows));
    this.say(`${embeddings} embeddings are stored.`);
    return { providers, embeddings };
  }
}
