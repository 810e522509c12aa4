import { EXIT, OperatorError } from '../model/errors.ts';
import type { ContainerObservation } from '../model/observation.ts';
import type { RunContext } from './context.ts';

const POLL_MS = 500;
// One sighting may be Docker's own restart after a crash of the moment; a loop is seen again and again.
const RESTARTS_SEEN_BEFORE_GIVING_UP = 6;

/**
 * Returns when every service has a container that runs and is healthy.
 * @throws OperatorError UNHEALTHY at the deadline, or as soon as a container ended or restarts in a loop; INTERRUPTED
 */
export async function waitHealthy(
  context: RunContext,
  services: string[],
  timeoutSeconds: number,
  report: (line: string) => void,
): Promise<void> {
  const { runtime, settings, clock } = context;
  const deadline = clock.now() + timeoutSeconds * 1000;
  const restarts = new Map<string, number>();
  for (;;) {
    throwIfInterrupted(context.signal);
    const containers = await runtime.listContainers(settings.project);
    const waiting = services.filter((name) => !ready(containers.filter(({ service }) => service === name)));
    if (waiting.length === 0) return;
    report(`waiting for ${waiting.join(', ')}`);
    for (const name of waiting) {
      const own = containers.filter(({ service }) => service === name);
      const looping = own.some(({ state }) => state === 'restarting');
      if (looping) restarts.set(name, (restarts.get(name) ?? 0) + 1);
      const ended = own.some(({ state }) => state === 'exited' || state === 'dead');
      if (ended || (restarts.get(name) ?? 0) >= RESTARTS_SEEN_BEFORE_GIVING_UP) {
        throw await unhealthy(context, name, ended ? 'ended' : 'restarts again and again');
      }
    }
    if (clock.now() >= deadline)
      throw await unhealthy(context, waiting[0] as string, `is not healthy after ${timeoutSeconds} s`);
    await clock.sleep(POLL_MS);
  }
}

/** Returns when `ask` says null; `ask` says what is wrong otherwise. @throws OperatorError PROBE_FAILED, INTERRUPTED */
export async function waitFor(
  context: RunContext,
  what: string,
  timeoutSeconds: number,
  report: (line: string) => void,
  ask: () => Promise<string | null>,
): Promise<void> {
  const deadline = context.clock.now() + timeoutSeconds * 1000;
  for (;;) {
    throwIfInterrupted(context.signal);
    const problem = await ask();
    if (problem === null) return;
    report(problem);
    if (context.clock.now() >= deadline) {
      throw new OperatorError(
        'PROBE_FAILED',
        `${what} did not answer as it should within ${timeoutSeconds} s: ${problem}`,
        {
          exitCode: EXIT.unhealthy,
          hint: 'look at ./operator.sh status and ./operator.sh logs',
        },
      );
    }
    await context.clock.sleep(POLL_MS);
  }
}

/** @throws OperatorError INTERRUPTED after Ctrl-C or SIGTERM */
export function throwIfInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw interrupted();
}

export function interrupted(): OperatorError {
  return new OperatorError('INTERRUPTED', 'interrupted; what was done stays done', {
    exitCode: EXIT.interrupted,
    hint: 'run the same command again to go on',
  });
}

function ready(containers: ContainerObservation[]): boolean {
  return (
    containers.length > 0 &&
    containers.every(
      ({ state, health }) => state === 'running' && (health === 'healthy' || health === 'none'),
    )
  );
}

const LOG_LINES = 8;

async function unhealthy(context: RunContext, service: string, why: string): Promise<OperatorError> {
  const log = await context.compose.lastLogLines(service, LOG_LINES);
  return new OperatorError('UNHEALTHY', `${service} ${why}`, {
    exitCode: EXIT.unhealthy,
    details: log.map((line) => `${service}: ${line}`),
    hint: `./operator.sh logs ${service}`,
  });
}
