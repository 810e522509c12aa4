import { Args, Flags } from '@oclif/core';
import { ConfigCommand } from '../cli/config-command.ts';
import { toOperatorError } from '../cli/errors.ts';
import { assertStarted } from '../cli/lifecycle.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import {
  ROTATED,
  ROTATED_SECRETS,
  type RotatedSecret,
  renewalInForce,
  stagedRenewal,
} from '../model/rotation.ts';
import { planStart } from '../plan/start.ts';
import { ROTATIONS } from '../rotation/index.ts';
import type { RotationInput } from '../rotation/rotation.ts';
import { takeLock } from '../run/lock.ts';
import { observe } from '../run/observe.ts';

export default class Rotate extends ConfigCommand {
  static override summary =
    'Renew a secret of .env on the running platform; the same command again goes on where it was cut off';
  static override description =
    'The parts of it that operator.sh calls, which stages the new value in .env.next and keeps the one before in .env.previous.';
  static override examples = [
    './operator.sh rotate encryption-key',
    './operator.sh rotate postgres-password --json',
  ];
  static override args = {
    secret: Args.string({ description: 'what to renew', options: ROTATED_SECRETS, required: true }),
  };
  static override flags = {
    check: Flags.boolean({
      description: 'only look whether it can be done',
      hidden: true,
      exclusive: ['finish'],
    }),
    finish: Flags.boolean({
      description: 'bring the platform onto the new value, end the old one',
      hidden: true,
    }),
  };

  async run(): Promise<{ secret: RotatedSecret; finished: boolean; services?: string[] }> {
    const { args, flags } = await this.parse(Rotate);
    this.requireContainers();
    const secret = args.secret as RotatedSecret;
    refuseOwnEnvironment(secret);
    await this.requireNoUnfinishedChange();
    if (flags.check) {
      await this.#locked(async () => {
        await this.database();
        await ROTATIONS[secret].check(await this.#input());
      });
      return { secret, finished: false };
    }
    if (!flags.finish) {
      const values = stagedRenewal(this.context.settings.root, secret);
      await this.#orGoOn(secret, 'the new value is in .env.next; .env holds the old one', () =>
        this.#locked(async () => ROTATIONS[secret].renew(await this.#input(), values)),
      );
      this.say(`The new ${secret} works; bringing the platform onto it.`);
      return { secret, finished: false };
    }
    const values = renewalInForce(this.context.settings.root, secret);
    const services = await this.#orGoOn(
      secret,
      'the new value is in .env; the one before is kept in .env.previous',
      async () => {
        const started = await this.#start();
        await this.#locked(async () => ROTATIONS[secret].retire(await this.#input(), values));
        return started;
      },
    );
    this.answer(`The platform works with the new ${secret}. Keep a new copy of .env elsewhere.`);
    return { secret, finished: true, services };
  }

  async #input(): Promise<RotationInput> {
    return {
      context: this.context,
      // Not checked against the key: in the middle of a rotation it may refuse the password of .env.
      db: await this.readDatabase(),
      encryptionKey: this.encryptionKey,
      actor: this.actor,
      confirm: (question) => this.confirm(question),
    };
  }

  /** As start does it, which makes those containers anew that have the old value. An application that was never started stays so. */
  async #start(): Promise<string[]> {
    const observed = await observe(this.context);
    const application = observed.services.some(
      ({ layer, containers }) => layer === 'application' && containers.length > 0,
    );
    const goal = { infrastructure: true, application };
    await this.runPlan(planStart(observed, goal));
    const after = await observe(this.context);
    assertStarted(after, goal);
    return madeAnew(observed.services, after.services);
  }

  async #locked<T>(run: () => Promise<T>): Promise<T> {
    const release = await takeLock(
      this.context.settings.stateDirectory,
      `${this.config.bin} ${this.commandName()}`,
    );
    try {
      return await run();
    } finally {
      await release();
    }
  }

  /** What fails here fails in the middle of a rotation. @throws OperatorError of the same code, with how to go on; exit 9 */
  async #orGoOn<T>(secret: RotatedSecret, state: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (thrown) {
      const error = toOperatorError(thrown);
      const keeps: number[] = [EXIT.bug, EXIT.locked, EXIT.interrupted];
      throw new OperatorError(error.code, error.message, {
        exitCode: keeps.includes(error.exitCode) ? error.exitCode : EXIT.afterImpact,
        details: [...error.details, state],
        hint: `./operator.sh rotate ${secret} goes on${error.hint ? `; first: ${error.hint}` : ''}`,
        cause: error,
      });
    }
  }
}

interface Contained {
  name: string;
  containers: { id: string }[];
}

function madeAnew(before: Contained[], after: Contained[]): string[] {
  const known = new Set(before.flatMap(({ containers }) => containers.map(({ id }) => id)));
  return after
    .filter(({ containers }) => containers.some(({ id }) => !known.has(id)))
    .map(({ name }) => name);
}

/** @throws OperatorError SECRET_FROM_ENVIRONMENT where `.env` is not what is used */
function refuseOwnEnvironment(secret: RotatedSecret): void {
  const set = ROTATED[secret].flatMap((name) => [name, `${name}_FILE`]).find((name) => process.env[name]);
  if (!set) return;
  throw new OperatorError('SECRET_FROM_ENVIRONMENT', `${set} in the operator's environment wins over .env`, {
    exitCode: EXIT.precondition,
    hint: 'renew it where it comes from, or take it out of the compose files',
  });
}
