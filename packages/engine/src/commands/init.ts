import { join } from 'node:path';
import { OperatorCommand } from '../cli/base-command.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { ensureSecrets } from '../run/secrets.ts';

export default class Init extends OperatorCommand {
  static override summary =
    'Write the secrets of an installation without containers (layer 1), once; dev does it by itself';
  static override examples = ['<%= config.bin %> init', 'KG_DATA=/srv/kg <%= config.bin %> init'];

  async run(): Promise<{ file: string; written: boolean }> {
    await this.parse(Init);
    const { mode, dataDirectory } = this.context.settings;
    if (mode === 'containers') {
      throw new OperatorError('ON_THE_HOST', "with containers the host's operator.sh writes the secrets", {
        exitCode: EXIT.precondition,
        hint: './operator.sh init',
      });
    }
    const file = join(dataDirectory, '.env');
    const written = await ensureSecrets(dataDirectory);
    this.answer(
      written ? `Wrote ${file}: keep a copy of it elsewhere.` : `${file} is there already: unchanged.`,
    );
    return { file, written };
  }
}
