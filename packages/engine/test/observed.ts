import type { ConfigItem } from '@kg-operator/config';
import type { Run } from '../src/history/runs.ts';
import type {
  ContainerObservation,
  DeclaredService,
  Observation,
  ServiceObservation,
} from '../src/model/observation.ts';
import { describeStep, type Step } from '../src/model/plan.ts';

export const declared: DeclaredService[] = [
  { name: 'postgres', layer: 'infrastructure', update: 'pinned', oneShot: false, optional: false },
  { name: 'garage', layer: 'infrastructure', update: 'pinned', oneShot: false, optional: false },
  { name: 'operator', layer: 'infrastructure', update: 'managed', oneShot: false, optional: false },
  { name: 'console', layer: 'infrastructure', update: 'managed', oneShot: false, optional: true },
  { name: 'gateway', layer: 'infrastructure', update: 'managed', oneShot: false, optional: false },
  { name: 'migrate', layer: 'schema', update: 'managed', oneShot: true, optional: false },
  { name: 'api', layer: 'application', update: 'managed', oneShot: false, optional: false },
  { name: 'web', layer: 'application', update: 'managed', oneShot: false, optional: false },
];

export const container = (
  service: string,
  change: Partial<ContainerObservation> = {},
): ContainerObservation => ({
  id: `${service}0123456789`,
  service,
  state: 'running',
  health: 'healthy',
  status: 'Up 3 minutes (healthy)',
  // One image, as in compose.
  image: `kg-operator-${service === 'console' ? 'operator' : service}:test`,
  imageId: 'sha256:0123456789abcdef',
  version: '0.1.0',
  ...change,
});

const item = (name: string, ok: boolean): ConfigItem => ({
  item: name,
  ok,
  summary: ok ? 'there' : 'missing',
  command: `./operator.sh config ${name}`,
});

/** An empty host: nothing but the operator runs. */
export function emptyHost(): Observation {
  return {
    project: 'kg',
    services: declared.map((service) => ({
      ...service,
      containers: service.name === 'operator' ? [container('operator', { health: 'none' })] : [],
      self: service.name === 'operator',
    })),
    database: { reachable: false, reason: 'getaddrinfo ENOTFOUND postgres' },
    encryptionKeyId: '0011223344556677',
  };
}

/** Everything up, migrated and configured. */
export function runningPlatform(): Observation {
  return {
    ...emptyHost(),
    services: declared.map(
      (service): ServiceObservation => ({
        ...service,
        containers: service.oneShot ? [] : [container(service.name)],
        self: service.name === 'operator',
      }),
    ),
    database: {
      reachable: true,
      schema: { head: '0002_graph', applied: 2, pending: [] },
      config: {
        items: [item('admin user', true), item('AI provider', true), item('object storage', true)],
        keyId: '0011223344556677',
        previousKeyId: null,
        claim: null,
        version: '7',
        counts: { users: 1, aiProviders: 1, embeddingProviders: 1, apiKeys: 1, settings: 0 },
        unreadable: [],
      },
    },
  };
}

/** An upgrade at its second step, or what became of it. */
export function upgrading(change: Partial<Run> = {}, running = false): Observation {
  const steps: Step[] = [
    { kind: 'run-hook', hook: 'pre-upgrade' },
    { kind: 'hand-over', version: '1.1.0', image: 'i' },
  ];
  const at = '2026-11-23T10:00:00.000Z';
  const run: Run = {
    id: '6a1f0000-0000-4000-8000-000000000001',
    command: 'upgrade',
    goal: 'upgrade to 1.1.0',
    actor: 'ada',
    engine: '1.0.0',
    startedAt: at,
    endedAt: null,
    outcome: 'unfinished',
    steps: steps.map((step, index) => ({
      step,
      title: describeStep(step),
      startedAt: at,
      finishedAt: index === 0 ? at : null,
    })),
    error: null,
    change: {
      kind: 'upgrade',
      from: { version: '1.0.0', images: { api: 'kg-api@sha256:aaaa', web: 'kg-web@sha256:cccc' } },
      path: [{ version: '1.1.0', images: { api: 'kg-api@sha256:bbbb', web: 'kg-web@sha256:cccc' } }],
      head: '0002_graph',
      undoes: null,
      backup: 'b',
      environment: {},
    },
    followedBy: null,
    continued: 0,
    ...change,
  };
  return { ...runningPlatform(), change: { run, running } };
}

/** Every service runs what it is pinned to, but the API. */
export function drifted(): Observation {
  const observed = runningPlatform();
  const pins = Object.fromEntries(
    observed.services.map(({ name }) => [name, { image: `kg-operator-${name}:test`, id: null }]),
  );
  return { ...observed, pins: { ...pins, api: { image: 'kg-api@sha256:bbbb', id: 'sha256:bbbb' } } };
}

/** Infrastructure up and migrated, configuration still empty, application never started. */
export function unconfigured(): Observation {
  const observed = runningPlatform();
  return {
    ...observed,
    services: observed.services.map((service) =>
      service.layer === 'application' ? { ...service, containers: [] } : service,
    ),
    database: {
      reachable: true,
      schema: { head: '0002_graph', applied: 2, pending: [] },
      config: {
        items: [item('admin user', false), item('AI provider', false), item('object storage', true)],
        keyId: '0011223344556677',
        previousKeyId: null,
        claim: null,
        version: '7',
        counts: { users: 1, aiProviders: 1, embeddingProviders: 1, apiKeys: 1, settings: 0 },
        unreadable: [],
      },
    },
  };
}
