import type { Layer, Observation, ServiceObservation } from '../model/observation.ts';
import type { Plan, Step } from '../model/plan.ts';

export interface StopGoal {
  keepInfrastructure: boolean;
  /** Only these; empty means all. */
  services: string[];
}

/** The steps that stop what runs, application before infrastructure. Pure. The service this process runs in is left to the shim. */
export function planStop(observed: Observation, goal: StopGoal): Plan {
  const layers: Layer[] = goal.keepInfrastructure
    ? ['application']
    : ['application', 'schema', 'infrastructure'];
  const wanted = (service: ServiceObservation) =>
    !service.self &&
    service.containers.some(
      ({ state }) => state === 'running' || state === 'restarting' || state === 'paused',
    ) &&
    (goal.services.length === 0 || goal.services.includes(service.name));
  const steps: Step[] = [];
  for (const layer of layers) {
    const services = observed.services
      .filter((service) => service.layer === layer && wanted(service))
      .map(({ name }) => name);
    if (services.length > 0) steps.push({ kind: 'compose-stop', services });
  }
  return { goal: 'stop the platform', steps, warnings: [], destructive: false };
}
