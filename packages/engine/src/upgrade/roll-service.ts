import type { ContainerDetails } from '../adapters/docker.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { StepOf } from '../model/plan.ts';
import type { RunContext } from '../run/context.ts';
import type { Report } from '../run/execute.ts';
import { throwIfInterrupted } from '../run/wait.ts';
import { type Copies, copiesOf, gatewayNetworks, hide, imageIdOf, isWell, show } from './copies.ts';

const POLL_MS = 500;
/**
 * How long new copies must stay well in the gateway's sight before an old one goes: docker/gateway/Caddyfile asks DNS again after one
 * second, with the next request; a second and a half more for a busy host.
 */
const SETTLE_MS = 2_500;
const LOG_LINES = 30;

/**
 * Replaces the containers of an application service by ones of `image`, while it serves behind the gateway: as many new copies as there are
 * old ones start out of the gateway's sight, are shown to it when they are healthy, and then the old ones stop, one after the other. The
 * pins must name the image already. New copies that do not get well are removed, and the old ones never stopped serving.
 * @throws OperatorError IMAGE_MISSING, IMAGE_OVERRIDDEN, APPLICATION_UNHEALTHY, DOCKER_FAILED, COMPOSE_FAILED, INTERRUPTED
 */
export async function rollService(
  { service, image, timeoutSeconds }: StepOf<'roll-service'>,
  context: RunContext,
  report: Report,
): Promise<void> {
  const { runtime, clock } = context;
  const imageId = await imageIdOf(context, image);
  const look = () => copiesOf(context, service, image, imageId);
  await removeBroken(context, (await look()).fresh);
  const networks = await gatewayNetworks(context);
  const serves = (copy: ContainerDetails) =>
    isWell(copy) && networks.some((network) => copy.networks[network]?.includes(service));
  const { old, fresh } = await createMissing(context, service, image, look, serves);
  for (const copy of fresh.filter(({ state }) => state === 'created')) {
    await hide(context, copy, networks);
    await runtime.startContainer(copy.id);
  }
  let shown = false;
  try {
    const healthy = await waitWell(context, fresh, timeoutSeconds, report);
    report(`${names(healthy)} ${healthy.length === 1 ? 'is' : 'are'} healthy`);
    shown = true;
    for (const copy of healthy) await show(context, service, copy, networks, old);
    if (old.length > 0) await staysWell(context, healthy);
  } catch (error) {
    // An interruption leaves them: the next run goes on with them.
    if (isUnhealthy(error)) await takeBack(context, fresh, old, shown);
    throw error;
  }
  for (const copy of old) {
    throwIfInterrupted(context.signal);
    report(`stopping ${copy.name}`);
    await runtime.stopContainer(copy.id);
    await runtime.removeContainer(copy.id);
    // The next one goes when the gateway has noticed that this one is gone.
    if (copy !== old.at(-1)) await clock.sleep(SETTLE_MS);
  }
  const left = await look();
  const unwell = left.fresh.find((copy) => !isWell(copy));
  if (unwell)
    throw await unhealthy(context, unwell, `is ${unwell.state}, ${unwell.health}, after it took over`);
  if (left.fresh.length === 0 || left.old.length > 0)
    throw new OperatorError('APPLICATION_UNHEALTHY', `somebody else changes the containers of ${service}`, {
      exitCode: EXIT.unhealthy,
      details: [...left.old, ...left.fresh].map(({ name, reference }) => `${name} runs ${reference}`),
      hint: 'run no docker compose by hand meanwhile; then run the same command again',
    });
}

/** What an attempt that was cut off has left and that will not serve by itself. */
async function removeBroken({ runtime }: RunContext, fresh: ContainerDetails[]): Promise<void> {
  for (const { id, state, health } of fresh)
    if (!['created', 'running'].includes(state) || health === 'unhealthy') await runtime.removeContainer(id);
}

/** As many new copies as old ones serve; what else is there was left by an attempt with another image. */
async function createMissing(
  context: RunContext,
  service: string,
  image: string,
  look: () => Promise<Copies>,
  serves: (copy: ContainerDetails) => boolean,
): Promise<Copies> {
  const before = await look();
  const wanted = Math.max(before.old.filter(serves).length, before.fresh.length, 1);
  if (before.fresh.length === wanted) return before;
  await context.compose.createCopies(service, before.old.length + wanted);
  const after = await look();
  if (after.fresh.length === wanted) return after;
  const known = new Set([...before.old, ...before.fresh].map(({ id }) => id));
  const made = [...after.old, ...after.fresh].filter(({ id }) => !known.has(id));
  for (const { id } of made) await context.runtime.removeContainer(id);
  throw new OperatorError(
    'IMAGE_OVERRIDDEN',
    `compose makes ${service} from ${made[0]?.reference ?? 'nothing'} instead of ${image}`,
    {
      exitCode: EXIT.precondition,
      hint: `take \`image\` and \`scale\` of ${service} out of docker-compose.override.yml, and run the same command again`,
    },
  );
}

async function waitWell(
  context: RunContext,
  copies: ContainerDetails[],
  timeoutSeconds: number,
  report: Report,
): Promise<ContainerDetails[]> {
  const { clock, signal } = context;
  const deadline = clock.now() + timeoutSeconds * 1000;
  for (;;) {
    throwIfInterrupted(signal);
    const now = await inspectAll(context, copies);
    const waiting = now.filter((copy) => !isWell(copy));
    if (waiting.length === 0) return now;
    const lost = waiting.find((copy) => copy.state !== 'running' || copy.restarts > 0);
    if (lost) throw await unhealthy(context, lost, `ended before it was healthy`);
    if (clock.now() >= deadline)
      throw await unhealthy(
        context,
        waiting[0] as ContainerDetails,
        `is not healthy after ${timeoutSeconds} s`,
      );
    report(`waiting for ${names(waiting)}`);
    await clock.sleep(POLL_MS);
  }
}

/** The same start, and well at every look, while the gateway learns of them. */
async function staysWell(context: RunContext, copies: ContainerDetails[]): Promise<void> {
  const { clock, signal } = context;
  const until = clock.now() + SETTLE_MS;
  while (clock.now() < until) {
    throwIfInterrupted(signal);
    await clock.sleep(POLL_MS);
    for (const copy of await inspectAll(context, copies)) {
      const restarted = copies.some(({ id, startedAt }) => id === copy.id && startedAt !== copy.startedAt);
      if (restarted || !isWell(copy)) throw await unhealthy(context, copy, 'did not stay healthy');
    }
  }
}

async function inspectAll(context: RunContext, copies: ContainerDetails[]): Promise<ContainerDetails[]> {
  return Promise.all(
    copies.map(
      async (copy) =>
        (await context.runtime.inspectContainer(copy.id)) ?? { ...copy, state: 'gone', health: 'none' },
    ),
  );
}

/** Where nothing old serves there is nothing to go back to here, and the new copies stay to be looked at. */
async function takeBack(
  { runtime }: RunContext,
  fresh: ContainerDetails[],
  old: ContainerDetails[],
  shown: boolean,
): Promise<void> {
  if (!old.some(isWell)) return;
  for (const { id } of fresh) {
    if (shown) await runtime.stopContainer(id); // it may have requests under way
    await runtime.removeContainer(id);
  }
}

function isUnhealthy(error: unknown): boolean {
  return error instanceof OperatorError && error.code === 'APPLICATION_UNHEALTHY';
}

async function unhealthy(
  { runtime }: RunContext,
  copy: ContainerDetails,
  why: string,
): Promise<OperatorError> {
  const log = copy.state === 'gone' ? [] : await runtime.containerLog(copy.id, LOG_LINES);
  return new OperatorError('APPLICATION_UNHEALTHY', `${copy.name} ${why}`, {
    exitCode: EXIT.unhealthy,
    details: log.map((line) => `${copy.name}: ${line}`),
    hint: 'the copies before it were not touched; its log above says why',
  });
}

function names(copies: ContainerDetails[]): string {
  return copies.map(({ name }) => name).join(', ');
}
