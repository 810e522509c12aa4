import { isUp, type Layer, type Observation, type ServiceObservation } from '../model/observation.ts';
import { type Hook, hookStep, type Plan, type Step } from '../model/plan.ts';

export interface StartGoal {
  infrastructure: boolean;
  application: boolean;
  /** The executables there are. */
  hooks?: Hook[];
}

// A first start of PostgreSQL runs initdb and of Garage lays out its tables; slow disks take a minute.
const INFRASTRUCTURE_TIMEOUT_SECONDS = 180;
export const APPLICATION_TIMEOUT_SECONDS = 120;
const PROBE_TIMEOUT_SECONDS = 60;

/**
 * The steps from what is observed to a running platform, in layer order. Pure.
 * Compose converges by itself, so `compose-up` stays in the plan of a running platform: it also brings edited settings into force.
 */
export function planStart(observed: Observation, goal: StartGoal): Plan {
  const { hooks = [] } = goal;
  const steps: Step[] = hookStep(hooks, 'pre-start');
  if (goal.infrastructure) {
    steps.push(
      ...bringUp(observed, 'infrastructure', INFRASTRUCTURE_TIMEOUT_SECONDS),
      ...schemaSteps(observed, hooks),
    );
  }
  if (goal.application) {
    if (!goal.infrastructure) steps.push({ kind: 'check-encryption-key' });
    steps.push(
      { kind: 'require-configuration' },
      ...bringUp(observed, 'application', APPLICATION_TIMEOUT_SECONDS),
      { kind: 'probe', target: 'api', timeoutSeconds: PROBE_TIMEOUT_SECONDS },
      { kind: 'probe', target: 'web', timeoutSeconds: PROBE_TIMEOUT_SECONDS },
    );
  }
  steps.push(...hookStep(hooks, 'post-start'));
  return { goal: goalName(goal), steps, warnings: [], destructive: false };
}

function bringUp(observed: Observation, layer: Layer, timeoutSeconds: number): Step[] {
  const services = startable(observed.services, layer);
  const needed = services.filter(({ optional }) => !optional);
  if (needed.length === 0) return [];
  return [
    { kind: 'compose-up', services: services.map(({ name }) => name) },
    { kind: 'wait-healthy', services: needed.map(({ name }) => name), timeoutSeconds },
  ];
}

function schemaSteps({ database }: Observation, hooks: Hook[]): Step[] {
  const pending = database.reachable ? database.schema.pending : null;
  const steps: Step[] = [];
  if (pending === null || pending.length > 0)
    steps.push(
      ...hookStep(hooks, 'pre-migrate'),
      { kind: 'migrate', pending },
      ...hookStep(hooks, 'post-migrate'),
    );
  steps.push({ kind: 'check-encryption-key' });
  const configured =
    database.reachable && database.config?.items.some(({ item, ok }) => item === 'object storage' && ok);
  if (!configured) steps.push({ kind: 'configure-object-store' });
  return steps;
}

/** The long-running services of a layer, without the one this process runs in. */
function startable(services: ServiceObservation[], layer: Layer): ServiceObservation[] {
  return services.filter((service) => service.layer === layer && !service.oneShot && !service.self);
}

function goalName({ infrastructure, application }: StartGoal): string {
  if (infrastructure && application) return 'start the platform';
  return infrastructure ? 'start the infrastructure' : 'start the application';
}

/** The services that a goal wants up and that are not. Empty means the goal is reached. */
export function notUp(observed: Observation, goal: StartGoal): ServiceObservation[] {
  const layers: Layer[] = [
    ...(goal.infrastructure ? (['infrastructure'] as const) : []),
    ...(goal.application ? (['application'] as const) : []),
  ];
  return layers
    .flatMap((layer) => startable(observed.services, layer))
    .filter((service) => !service.optional && !isUp(service));
}
