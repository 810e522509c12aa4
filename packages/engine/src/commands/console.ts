import { once } from 'node:events';
import { Flags } from '@oclif/core';
import { OperatorCommand } from '../cli/base-command.ts';
import { CONSOLE_PORT, consoleServer } from '../console/server.ts';
import { consoleVersions } from '../console/versions.ts';
import { messageOf } from '../model/errors.ts';

export default class Console extends OperatorCommand {
  static override hidden = true;
  static override summary = 'Answer GET /versions on the inner network; run by the container of that name';
  static override description =
    'It reads .operator/releases and nothing else: it needs no socket, no secret and no database.';
  static override enableJsonFlag = false;
  static override flags = {
    port: Flags.integer({ description: 'where to listen', default: CONSOLE_PORT, min: 0, max: 65_535 }),
  };
  protected override interruptRemark = 'Stopping.';

  async run(): Promise<void> {
    const { flags } = await this.parse(Console);
    this.requireContainers();
    const { settings, clock, signal } = this.context;
    const server = consoleServer(
      () => consoleVersions(settings.stateDirectory, this.config.version, () => clock.date()),
      (error) => this.say(messageOf(error)),
    );
    server.listen(flags.port);
    await once(server, 'listening');
    const address = server.address();
    this.say(`Listening on port ${typeof address === 'object' ? address?.port : address}`);
    const closed = once(server, 'close');
    signal.addEventListener('abort', () => {
      server.close();
      server.closeAllConnections();
    });
    await closed;
  }
}
