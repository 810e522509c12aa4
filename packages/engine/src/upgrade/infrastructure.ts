import type { Run } from '../history/runs.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { isUp } from '../model/observation.ts';
import type { RunContext } from '../run/context.ts';
import { throwIfInterrupted } from '../run/wait.ts';

// After a reboot Docker starts everything at once, the operator perhaps first, and PostgreSQL recovers.
const PATIENCE_MS = 180_000;
const POLL_MS = 1000;
/** Docker starts what ran before by itself; what it has not started by then it will not. After a crash of its own it may start nothing. */
const DOCKERS_TURN_MS = 10_000;

/**
 * Returns when the infrastructure runs and is healthy: who goes on with a run may be there before PostgreSQL is. Containers that ended with
 * Docker are started again, those of the application only if no step of the run will do that.
 * @throws OperatorError UNHEALTHY after three minutes
 */
export async function infrastructureIsUp(
  context: RunContext,
  run: Run,
  report: (line: string) => void,
): Promise<void> {
  const { clock, compose, runtime, settings, signal } = context;
  const services = (await compose.declaredServices()).filter(({ oneShot }) => !oneShot);
  const began = clock.now();
  for (;;) {
    throwIfInterrupted(signal);
    const containers = await runtime.listContainers(settings.project);
    const of = (service: string) => containers.filter((one) => one.service === service);
    const ended = services
      .filter(({ layer }) => layer === 'infrastructure' || !willStartIt(run))
      .flatMap(({ name }) => of(name).filter(({ state }) => state === 'exited'));
    const waiting = services
      .filter(({ layer, optional }) => layer === 'infrastructure' && !optional)
      .filter((service) => !isUp({ ...service, self: false, containers: of(service.name) }))
      .map(({ name }) => name);
    if (waiting.length === 0 && ended.length === 0) return;
    if (clock.now() > began + PATIENCE_MS)
      throw new OperatorError('UNHEALTHY', `${waiting.join(' and ') || 'the application'} did not come up`, {
        exitCode: EXIT.unhealthy,
        hint: './operator.sh logs says why; when they run, the same command again',
      });
    report(`waiting for ${[...new Set([...waiting, ...ended.map(({ service }) => service)])].join(', ')}`);
    if (clock.now() > began + DOCKERS_TURN_MS) for (const { id } of ended) await runtime.startContainer(id);
    await clock.sleep(POLL_MS);
  }
}

/** A step of the run is still to start the application: until then it may be stopped on purpose. */
function willStartIt({ steps }: Run): boolean {
  return steps.some(({ step, finishedAt }) => step.kind === 'compose-up' && finishedAt === null);
}
