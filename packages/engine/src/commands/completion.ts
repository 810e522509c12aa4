import { Args } from '@oclif/core';
import { OperatorCommand } from '../cli/base-command.ts';
import { type CommandShape, completionScript, SHELLS } from '../cli/completion.ts';

export default class Completion extends OperatorCommand {
  static override summary = 'Print a completion script for the shell';
  static override examples = [
    'source <(<%= config.bin %> completion bash)',
    '<%= config.bin %> completion fish > ~/.config/fish/completions/kg-operator.fish',
  ];
  static override enableJsonFlag = false;
  static override args = {
    shell: Args.string({ description: 'shell', options: [...SHELLS], required: true }),
  };

  async run(): Promise<void> {
    const { args } = await this.parse(Completion);
    const commands: CommandShape[] = this.config.commands
      .filter(({ hidden }) => !hidden)
      .map(({ id, summary = '', flags, args: own }) => ({
        words: id.split(':'),
        summary,
        flags: Object.values(flags)
          .filter(({ hidden }) => !hidden)
          .map(({ name }) => `--${name}`)
          .sort(),
        values: Object.values(own).flatMap((argument) => argument.options ?? []),
      }))
      .sort((a, b) => a.words.join(' ').localeCompare(b.words.join(' ')));
    process.stdout.write(completionScript(args.shell as (typeof SHELLS)[number], this.config.bin, commands));
  }
}
