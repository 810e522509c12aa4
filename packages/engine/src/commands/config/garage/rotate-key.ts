import { ConfigCommand } from '../../../cli/config-command.ts';
import { rotateGarageKey } from '../../../config/garage-key.ts';
import { opensBucket } from '../../../config/opens-bucket.ts';
import { probe } from '../../../run/execute.ts';
import { takeLock } from '../../../run/lock.ts';
import { waitFor } from '../../../run/wait.ts';

// What follows the configuration takes it up within two seconds, as packages/config says of watchConfig(); and /ready gives an answer again
// for one second.
const TAKEN_UP_MS = 2500;
const READY_FRESH_MS = 1100;
const READY_SECONDS = 30;

export default class ConfigGarageRotateKey extends ConfigCommand {
  static override summary = "Replace the platform's S3 key in Garage; again goes on where it was cut off";
  static override description = 'No request fails: the old key is deleted when the API uses the new one.';
  static override examples = ['<%= config.bin %> config garage rotate-key'];

  async run(): Promise<{ accessKeyId: string; retired: string }> {
    await this.parse(ConfigGarageRotateKey);
    const db = await this.database();
    const { mode, stateDirectory } = this.context.settings;
    // An embedded database is behind that lock already, and has one user.
    const lock = mode === 'containers';
    const release = lock
      ? await takeLock(stateDirectory, `${this.config.bin} ${this.commandName()}`)
      : undefined;
    try {
      const rotated = await rotateGarageKey(db, this.context.garage(), {
        encryptionKey: this.encryptionKey,
        actor: this.actor,
        opensBucket,
        untilTakenUp: () => this.#untilTakenUp(),
      });
      await this.#untilReady(READY_FRESH_MS);
      this.answer(`Object storage uses key ${rotated.accessKeyId}; ${rotated.retired} is deleted.`);
      return rotated;
    } finally {
      await release?.();
    }
  }

  async #untilTakenUp(): Promise<void> {
    this.say('Waiting until the API uses the new key.');
    await this.#untilReady(TAKEN_UP_MS);
  }

  /** Where the API runs, it must be ready after this time. @throws OperatorError PROBE_FAILED */
  async #untilReady(afterMs: number): Promise<void> {
    const { settings, runtime, clock } = this.context;
    const containers = await runtime.listContainers(settings.project);
    const runs = containers.some(
      ({ service, state }) => ['api', 'dev'].includes(service) && state === 'running',
    );
    if (!runs) return;
    await clock.sleep(afterMs);
    if (settings.mode !== 'containers') return;
    await waitFor(
      this.context,
      'the API',
      READY_SECONDS,
      (line) => this.say(line),
      () => probe(this.context, 'api', `${settings.gateway.api}/ready`),
    );
  }
}
