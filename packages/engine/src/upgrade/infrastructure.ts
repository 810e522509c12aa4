import { EXIT, OperatorError } from '../model/errors.ts';
import { isUp } from '../model/observation.ts';
import type { RunContext } from '../run/context.ts';
import { throwIfInterrupted } from '../run/wait.ts';

// After a reboot Docker starts everything at once, the operator perhaps first, and PostgreSQL recovers.
const PATIENCE_MS = 180_000;
const POLL_MS = 1000;

/**
 * Returns when what no upgrade touches runs and is healthy: who goes on with a run may be there before PostgreSQL is.
 * @throws OperatorError UNHEALTHY after three minutes
 */
export async function infrastructureIsUp(context: RunContext, report: (line: string) => void): Promise<void> {
  const { clock, compose, runtime, settings, signal } = context;
  const pinned = (await compose.declaredServices()).filter(
    ({ update, oneShot }) => update === 'pinned' && !oneShot,
  );
  const deadline = clock.now() + PATIENCE_MS;
  for (;;) {
    throwIfInterrupted(signal);
    const containers = await runtime.listContainers(settings.project);
    const waiting = pinned
      .filter(
        (service) =>
          !isUp({
            ...service,
            self: false,
            containers: containers.filter((one) => one.service === service.name),
          }),
      )
      .map(({ name }) => name);
    if (waiting.length === 0) return;
    if (clock.now() > deadline)
      throw new OperatorError('UNHEALTHY', `${waiting.join(' and ')} did not come up`, {
        exitCode: EXIT.unhealthy,
        hint: './operator.sh logs says why; when they run, the same command again',
      });
    report(`waiting for ${waiting.join(' and ')}`);
    await clock.sleep(POLL_MS);
  }
}
