import type { ContainerDetails } from '../adapters/docker.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import type { DeclaredService } from '../model/observation.ts';
import type { HealthCheck, StepOf } from '../model/plan.ts';
import type { RunContext } from '../run/context.ts';
import type { Report } from '../run/execute.ts';
import { throwIfInterrupted } from '../run/wait.ts';
import { imageIdOf, inspectService, isWell } from './copies.ts';
import { HealthWindow } from './health-window.ts';
import { type ReleasePins, readPins } from './pins.ts';

const LOOK_MS = 1_000;
const REQUEST_MS = 5_000;
const LOG_LINES = 30;

/**
 * Asks the platform from outside, through its gateway, until every check has answered as it should for `stabilitySeconds` on end, and
 * watches the containers of the application meanwhile; what counts as well says health-window.ts. All of them must run the pinned images.
 * @throws OperatorError HEALTH_GATE_FAILED with what each check said last and the log of containers that are not up; IMAGE_MISSING, INTERRUPTED
 */
export async function healthGate(
  { version, checks, timeoutSeconds, stabilitySeconds }: StepOf<'health-gate'>,
  context: RunContext,
  report: Report,
): Promise<void> {
  const { clock, settings } = context;
  const services = await pinnedServices(context, await readPins(settings.stateDirectory));
  const window = new HealthWindow({ timeoutSeconds, stabilitySeconds }, clock.now());
  for (;;) {
    throwIfInterrupted(context.signal);
    const began = clock.now();
    const [answers, containers] = await Promise.all([
      Promise.all(checks.map((check) => ask(context, check))),
      look(context, services),
    ]);
    const wrong = [...answers.flatMap(({ problem }) => problem ?? []), ...containers.wrong];
    const application = containers.seen.filter(({ layer }) => layer === 'application');
    const { final } = containers;
    const verdict = window.judge({ atMs: clock.now(), wrong, final, containers: application });
    if (verdict.kind === 'well') return;
    if (verdict.kind === 'failed') throw await gateFailed(context, version, verdict.why, answers, containers);
    report(verdict.note);
    await clock.sleep(Math.max(0, LOOK_MS - (clock.now() - began)));
  }
}

interface Service extends DeclaredService {
  /** What its containers must run; null where nothing is pinned. */
  pin: { image: string; imageId: string } | null;
}

/** The services that an upgrade replaces, without jobs that end, and what the platform is well without. */
async function pinnedServices(context: RunContext, pins: ReleasePins | null): Promise<Service[]> {
  const declared = await context.compose.declaredServices();
  return Promise.all(
    declared
      .filter(({ update, oneShot, optional }) => update === 'managed' && !oneShot && !optional)
      .map(async (service) => {
        const image = pins?.images[service.name];
        return { ...service, pin: image ? { image, imageId: await imageIdOf(context, image) } : null };
      }),
  );
}

interface Asked {
  /** What was asked, and what came of it: `GET /ready of the API: 200, as it should`. */
  said: string;
  problem: string | null;
}

async function ask({ settings, fetch }: RunContext, { target, path, status }: HealthCheck): Promise<Asked> {
  const asked = `GET ${path} of the ${target === 'api' ? 'API' : 'web app'}`;
  let got: string;
  try {
    const response = await fetch(`${settings.gateway[target]}${path}`, {
      redirect: 'manual',
      signal: AbortSignal.timeout(REQUEST_MS),
    });
    const body = await response.text();
    const notReady = target === 'api' && path === '/ready' ? whyNotReady(body) : null;
    if (response.status === status && notReady === null)
      return { said: `${asked}: ${status}, as it should`, problem: null };
    got = notReady === null ? `${response.status} instead of ${status}` : `${response.status}, ${notReady}`;
  } catch (error) {
    got = messageOf((error as { cause?: unknown }).cause ?? error);
  }
  return { said: `${asked}: ${got}`, problem: `${asked}: ${got}` };
}

/** Null when the API says that it is ready; its checks that fail otherwise, as it names them. */
function whyNotReady(body: string): string | null {
  try {
    const { ready, checks } = JSON.parse(body) as {
      ready?: boolean;
      checks?: { ok: boolean; name: string }[];
    };
    if (ready === true) return null;
    const failing = (checks ?? []).filter(({ ok }) => !ok).map(({ name }) => name);
    return `not ready${failing.length > 0 ? ` (${failing.join(', ')})` : ''}`;
  } catch {
    return 'no JSON'; // whoever answered, it was not the API
  }
}

interface Seen {
  wrong: string[];
  /** A container of another image than the pinned one. */
  final: string | null;
  seen: (ContainerDetails & Pick<Service, 'layer'>)[];
}

/** The containers of managed services, and which of them are not up or run another image than the pinned one. */
async function look(context: RunContext, services: Service[]): Promise<Seen> {
  const result: Seen = { wrong: [], final: null, seen: [] };
  for (const { name, layer, pin } of services) {
    const own = await inspectService(context, name);
    if (own.length === 0) result.wrong.push(`${name} has no container`);
    for (const one of own) {
      result.seen.push({ ...one, layer });
      if (!isWell(one)) result.wrong.push(`${one.name} is ${one.state}, ${one.health}`);
      if (pin && one.imageId !== pin.imageId)
        result.final = `${one.name} runs ${one.reference} instead of ${pin.image}`;
    }
  }
  return result;
}

async function gateFailed(
  { runtime }: RunContext,
  version: string,
  why: string,
  answers: Asked[],
  { wrong, seen }: Seen,
): Promise<OperatorError> {
  const logs = await Promise.all(
    seen
      .filter((one) => !isWell(one) || one.restarts > 0)
      .map(async ({ id, name }) =>
        (await runtime.containerLog(id, LOG_LINES)).map((line) => `${name}: ${line}`),
      ),
  );
  const asked = new Set(answers.map(({ problem }) => problem));
  return new OperatorError('HEALTH_GATE_FAILED', `${version} is not well: ${why}`, {
    exitCode: EXIT.unhealthy,
    details: [...answers.map(({ said }) => said), ...wrong.filter((one) => !asked.has(one)), ...logs.flat()],
    hint: 'look at ./operator.sh history and ./operator.sh logs',
  });
}
