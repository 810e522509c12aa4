import type { ContainerDetails, ContainerRuntime } from '../src/adapters/docker.ts';
import { EXIT, OperatorError } from '../src/model/errors.ts';
import type { ContainerObservation } from '../src/model/observation.ts';

/** What a fake container does after it was started. */
export interface Behaviour {
  /** From the start to healthy; null: never. */
  healthyAfterMs: number | null;
  /** From the start to its end, after which it starts again as Docker's `unless-stopped` has it; null: it goes on. */
  endsAfterMs?: number | null;
  log?: string[];
}

interface Fake extends ContainerDetails {
  service: string;
  startedMs: number;
}

/** Containers of one project as far as the engine handles them itself; time is `now()`'s. */
export function fakeContainers(now: () => number, behaviourOf: (image: string) => Behaviour) {
  const all = new Map<string, Fake>();
  /** What was done to them, oldest first. */
  const calls: string[] = [];
  let made = 0;
  const images = new Map<string, string>();

  const get = (id: string): Fake => {
    const found = all.get(id);
    if (!found)
      throw new OperatorError('DOCKER_FAILED', `No such container: ${id}`, { exitCode: EXIT.docker });
    return found;
  };
  const seen = (one: Fake): Fake => {
    if (one.state !== 'running') return { ...one, health: 'none' };
    const { healthyAfterMs, endsAfterMs = null } = behaviourOf(one.reference);
    const ran = now() - one.startedMs;
    const rounds = endsAfterMs === null ? 0 : Math.floor(ran / endsAfterMs);
    const inRound = endsAfterMs === null ? ran : ran % endsAfterMs;
    return {
      ...one,
      restarts: one.restarts + rounds,
      startedAt: String(one.startedMs + rounds * (endsAfterMs ?? 0)),
      health: healthyAfterMs !== null && inRound >= healthyAfterMs ? 'healthy' : 'starting',
    };
  };
  const create = (service: string, image: string, running = false): string => {
    made += 1;
    const id = `${made}`.padStart(64, 'c');
    const name = `kg-${service}-${made}`;
    all.set(id, {
      id,
      name,
      service,
      reference: image,
      imageId: images.get(image) ?? `sha256:${image}`,
      state: running ? 'running' : 'created',
      health: 'none',
      restarts: 0,
      startedAt: '',
      startedMs: running ? Number.NEGATIVE_INFINITY : 0,
      networks:
        service === 'gateway' ? { edge: ['gateway'] } : { edge: [name, service], backend: [name, service] },
    });
    return id;
  };

  const runtime: ContainerRuntime = {
    removeScratch: async () => undefined,
    async listContainers() {
      return [...all.values()].map(seen).map(
        ({ id, service, state, health, reference, imageId }): ContainerObservation => ({
          id,
          service,
          state,
          health,
          status: state,
          image: reference,
          imageId,
          version: null,
        }),
      );
    },
    diskIn: async () => null,
    volumesOf: async () => [],
    async inspectContainer(id) {
      const found = all.get(id);
      return found ? structuredClone(seen(found)) : null;
    },
    async startContainer(id) {
      const one = get(id);
      if (one.state === 'running') return;
      calls.push(`start ${one.name}`);
      Object.assign(one, { state: 'running', startedMs: now() });
    },
    async stopContainer(id) {
      const one = all.get(id);
      if (one?.state !== 'running') return;
      calls.push(`stop ${one.name}`);
      one.state = 'exited';
    },
    async removeContainer(id) {
      const one = all.get(id);
      if (one) calls.push(`remove ${one.name}`);
      all.delete(id);
    },
    async renameOnNetwork(id, network, aliases) {
      const one = get(id);
      calls.push(`${aliases.length > 0 ? 'show' : 'hide'} ${one.name}`);
      one.networks[network] = aliases;
    },
    async containerLog(id, lines) {
      const { reference, name } = get(id);
      return (behaviourOf(reference).log ?? [`said by ${name}`]).slice(-lines);
    },
  };
  return {
    runtime,
    calls,
    create,
    /** Those whom the gateway finds under a service's name. */
    shown: (service: string) =>
      [...all.values()].filter(
        ({ state, networks }) => state === 'running' && networks.edge?.includes(service),
      ),
    of: (service: string) => [...all.values()].filter((one) => one.service === service).map(seen),
  };
}
