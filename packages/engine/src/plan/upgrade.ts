import type { Observation } from '../model/observation.ts';
import type { HealthCheck, Hook, Plan, Step } from '../model/plan.ts';
import type { ReleasePins } from '../upgrade/pins.ts';

/** Services that run the operator's image. */
export const OPERATOR_SERVICES = ['operator', 'migrate', 'console'];

export interface HealthGate {
  checks: HealthCheck[];
  timeoutSeconds: number;
  stabilitySeconds: number;
}

/** One version of the path. */
export interface UpgradeHop {
  version: string;
  /** By service; all of the release, changed or not. */
  images: Record<string, string>;
  /** Ids of migrations. */
  pending: string[];
  contract: string[];
  healthGate: HealthGate;
  /** Under which the database is kept as it was before a contract migration. */
  databaseCopy: string;
}

export interface UpgradeGoal {
  from: ReleasePins;
  hops: UpgradeHop[];
  /** The file that the images come from, if it is not the registry. */
  bundle: string | null;
  /** Null: none, `--no-backup`. */
  backup: { id: string; copyTo: string[] } | null;
  /** The executables there are. */
  hooks: Hook[];
}

/** The steps from one release to another. Nothing is changed before the first `replace-operator`. Pure. */
export function planUpgrade(observed: Observation, goal: UpgradeGoal): Plan {
  const { from, hops, bundle, backup } = goal;
  const last = hops.at(-1);
  if (!last) return { goal: 'upgrade', steps: [], warnings: [], destructive: false };
  const images = [...new Set(hops.flatMap((hop) => Object.values(hop.images)))].filter(
    (image) => !Object.values(from.images).includes(image),
  );
  const steps: Step[] = [
    ...hook(goal, 'pre-upgrade'),
    ...(images.length > 0 ? [{ kind: 'pull-images' as const, images, bundle }] : []),
    ...(backup ? backUp(goal, backup) : []),
    ...hops.flatMap((hop, index) => hopSteps(observed, goal, hop, hops[index - 1]?.images ?? from.images)),
    ...hook(goal, 'post-upgrade'),
    {
      kind: 'prune-images',
      keep: [
        last.version,
        ...((hops.at(-2)?.version ?? from.version) ? [hops.at(-2)?.version ?? (from.version as string)] : []),
      ],
    },
  ];
  return {
    goal: `upgrade to ${last.version}`,
    steps,
    warnings: warningsOf(goal, observed),
    destructive: false,
  };
}

function backUp(goal: UpgradeGoal, { id, copyTo }: { id: string; copyTo: string[] }): Step[] {
  return [
    ...hook(goal, 'pre-backup'),
    { kind: 'write-backup', id },
    { kind: 'verify-backup', id },
    ...(copyTo.length > 0 ? [{ kind: 'copy-backup' as const, id, destinations: copyTo }] : []),
    ...hook(goal, 'post-backup'),
  ];
}

function hopSteps(
  observed: Observation,
  goal: UpgradeGoal,
  hop: UpgradeHop,
  before: Record<string, string>,
): Step[] {
  const { version, images, pending, contract, healthGate } = hop;
  const changed = (service: string) => images[service] !== undefined && images[service] !== before[service];
  const { application, edge } = servicesToReplace(observed, changed);
  const operator = images.operator;
  const migration: Step[] =
    pending.length > 0
      ? [...hook(goal, 'pre-migrate'), { kind: 'migrate', pending }, ...hook(goal, 'post-migrate')]
      : [];
  const pins = (services: string[]): Step[] =>
    services.length > 0
      ? [
          {
            kind: 'pin-images',
            version,
            images: Object.fromEntries(services.map((name) => [name, images[name] as string])),
          },
        ]
      : [];
  const replaced = [...edge, ...application];
  const all = observed.services
    .filter(({ layer, oneShot, update }) => layer === 'application' && !oneShot && update === 'managed')
    .map(({ name }) => name);
  return [
    ...(operator && changed('operator')
      ? [
          { kind: 'hand-over' as const, version, image: operator },
          { kind: 'replace-operator' as const, version, image: operator },
        ]
      : []),
    ...(classOf(observed, hop, before) === 'rolling'
      ? [
          ...migration,
          ...pins(application),
          ...application.map(
            (service): Step => ({
              kind: 'roll-service',
              service,
              image: images[service] as string,
              timeoutSeconds: healthGate.timeoutSeconds,
            }),
          ),
        ]
      : [
          { kind: 'compose-stop' as const, services: all },
          ...(contract.length > 0 ? [{ kind: 'copy-database' as const, database: hop.databaseCopy }] : []),
          ...migration,
          ...pins(replaced),
          { kind: 'compose-up' as const, services: [...edge, ...all] },
          {
            kind: 'wait-healthy' as const,
            services: [...edge, ...all],
            timeoutSeconds: healthGate.timeoutSeconds,
          },
        ]),
    { kind: 'health-gate', version, ...healthGate },
    { kind: 'record-release', version },
  ];
}

/** Those with another image than before, the gateway apart: its port can't be handed over. */
function servicesToReplace(
  { services }: Observation,
  changed: (service: string) => boolean,
): { application: string[]; edge: string[] } {
  const managed = services.filter(
    ({ name, update, oneShot }) =>
      update === 'managed' && !oneShot && !OPERATOR_SERVICES.includes(name) && changed(name),
  );
  const names = (layer: string) =>
    managed.filter((service) => service.layer === layer).map(({ name }) => name);
  return { application: names('application'), edge: names('infrastructure') };
}

/** `rolling`: no request fails. `planned-downtime`: the application is stopped, because a migration or the gateway wants it. */
export function classOf(
  observed: Observation,
  { images, contract }: UpgradeHop,
  before: Record<string, string>,
): 'rolling' | 'planned-downtime' {
  const changed = (service: string) => images[service] !== undefined && images[service] !== before[service];
  return contract.length === 0 && servicesToReplace(observed, changed).edge.length === 0
    ? 'rolling'
    : 'planned-downtime';
}

function warningsOf(goal: UpgradeGoal, observed: Observation): string[] {
  const warnings: string[] = [];
  for (const [index, hop] of goal.hops.entries()) {
    const before = goal.hops[index - 1]?.images ?? goal.from.images;
    if (classOf(observed, hop, before) === 'rolling') continue;
    warnings.push(
      hop.contract.length > 0
        ? `the application is stopped for ${hop.version}: ${hop.contract.join(', ')} can't be applied while it runs`
        : `the application is stopped for ${hop.version}: the gateway is replaced`,
    );
  }
  if (!goal.backup) warnings.push('no backup is made: what a migration destroys is lost');
  return warnings;
}

export function hook({ hooks }: { hooks: Hook[] }, name: Hook): Step[] {
  return hooks.includes(name) ? [{ kind: 'run-hook', hook: name }] : [];
}
