import { ConfigCommand } from '../../cli/config-command.ts';
import { type ConfigurationDocument, toYaml } from '../../config/document.ts';
import { exportConfiguration } from '../../config/document-export.ts';

export default class ConfigExport extends ConfigCommand {
  static override summary =
    'Print the configuration as a file that config import takes; secrets by reference';
  static override examples = [
    '<%= config.bin %> config export > kg.yaml',
    '<%= config.bin %> config export --json',
  ];

  async run(): Promise<ConfigurationDocument> {
    await this.parse(ConfigExport);
    const document = await exportConfiguration(await this.readDatabase());
    // Not by answer(): no text in it may be put differently.
    this.log(toYaml(document).slice(0, -1));
    return document;
  }

  protected override toSuccessJson(data: unknown): unknown {
    return { ...(super.toSuccessJson(null) as object), data };
  }
}
