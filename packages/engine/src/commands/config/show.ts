import { type ConfigState, readConfigState } from '@kg-operator/config';
import { ConfigCommand } from '../../cli/config-command.ts';
import { paint } from '../../cli/style.ts';

export default class ConfigShow extends ConfigCommand {
  static override summary = 'Show what is configured; credentials are never shown';
  static override examples = ['<%= config.bin %> config show', '<%= config.bin %> config show --json'];

  async run(): Promise<ConfigState> {
    await this.parse(ConfigShow);
    const state = await readConfigState(this.context.configDatabase());
    const width = Math.max(...state.items.map(({ item }) => item.length));
    for (const { item, ok, summary, command } of state.items) {
      const mark = ok ? paint('green', '✓', process.stdout) : paint('red', '✗', process.stdout);
      this.answer(`${mark} ${item.padEnd(width)}  ${ok ? summary : `missing: ${command}`}`);
    }
    this.answer(`  ${'encryption key'.padEnd(width)}  ${state.keyId ?? 'none recorded yet'}`);
    return state;
  }
}
