import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import type { StepOf } from '../model/plan.ts';
import { OPERATOR_SERVICES } from '../plan/upgrade.ts';
import type { RunContext } from '../run/context.ts';
import type { Report } from '../run/execute.ts';
import { pin } from './record.ts';

/** Thrown by a step that another process must go on with; not a failure. */
export class HandOver extends Error {
  readonly image: string;

  constructor(image: string) {
    super(`to be gone on with in ${image}`);
    this.image = image;
  }
}

/** Done by who runs in that image; anybody else leaves it to a runner of it. */
export async function handOver({ image }: StepOf<'hand-over'>, { runner }: RunContext): Promise<void> {
  if (runner.image !== image) throw new HandOver(image);
}

const ANSWER_MS = 30_000;
const PAUSE_MS = 500;

/** The containers of the operator's image are made anew from another one; the new one must answer. @throws OperatorError OPERATOR_UNFIT */
export async function replaceOperator(
  { version, image }: StepOf<'replace-operator'>,
  context: RunContext,
  report: Report,
): Promise<void> {
  const { compose, settings, clock } = context;
  await pin(settings.stateDirectory, version, { operator: image });
  const services = (await compose.declaredServices())
    .filter(({ name, oneShot }) => OPERATOR_SERVICES.includes(name) && !oneShot)
    .map(({ name }) => name);
  await compose.up(services);
  const deadline = clock.now() + ANSWER_MS;
  for (;;) {
    try {
      const answer = await compose.exec('operator', ['kg-operator', '--version']);
      if (answer.includes(`/${version} `)) return;
      throw new Error(`it says that it is ${answer.trim().split('\n')[0]}`);
    } catch (error) {
      report(messageOf(error));
      if (clock.now() > deadline)
        throw new OperatorError('OPERATOR_UNFIT', `the operator of ${version} does not answer`, {
          exitCode: EXIT.unhealthy,
          details: [messageOf(error), ...(await compose.lastLogLines('operator', 20))],
          cause: error,
        });
      await clock.sleep(PAUSE_MS);
    }
  }
}
