import { type Command, Help, type Interfaces } from '@oclif/core';

const EXIT_CODES = [
  '0 ok, 1 bug, 2 usage, 3 precondition, 4 configuration missing or invalid, 5 locked, 6 Docker or registry,',
  '7 unhealthy or timed out, 8 migration or schema, 9 failed after impact, 10 status --exit-code, 130/143 signals',
];

/** oclif's help, under the name the program was called by (`./operator.sh` in the operator's image), with the exit codes at the end. */
export default class OperatorHelp extends Help {
  constructor(config: Interfaces.Config, options?: Partial<Interfaces.HelpOptions>) {
    Object.assign(config, { bin: process.env.KG_PROGRAM ?? config.bin });
    super(config, options);
  }

  /** oclif takes `up` for a topic because the name of topic `backup:kit` has `up:` in it. */
  protected override get sortedTopics(): Interfaces.Topic[] {
    return super.sortedTopics.filter(({ name }) =>
      this.config.commandIDs.some((id) => id.startsWith(`${name}:`)),
    );
  }

  override formatCommand(command: Command.Loadable): string {
    return `${super.formatCommand(command)}\n\n${this.section('EXIT CODES', EXIT_CODES.join('\n'))}\n`;
  }
}
