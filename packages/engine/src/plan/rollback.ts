import { isUp, type Observation } from '../model/observation.ts';
import type { Plan, Step } from '../model/plan.ts';
import type { ReleasePins } from '../upgrade/pins.ts';
import { APPLICATION_TIMEOUT_SECONDS } from './start.ts';
import { type HealthGate, OPERATOR_SERVICES } from './upgrade.ts';

export interface RollbackGoal {
  /** What is pinned now. */
  from: ReleasePins;
  /** What to go back to. */
  to: ReleasePins & { version: string };
  healthGate: HealthGate;
  /** Goes back, too. Not where the newer schema stays: only the newer engine knows it. */
  operator: boolean;
  /** The data to go back to, where the schema does not fit; null: the data stays. */
  data: RollbackData | null;
  /** A copy that the run to undo has made, and that nobody needs where the data stays. */
  copy: string | null;
}

export interface RollbackData {
  /** A database that was kept, or one into which a backup is loaded first. */
  incoming: string;
  /** What the live one is called from then on. */
  outgoing: string;
  backup: string | null;
}

/** The steps back to an earlier release. What serves is replaced while it serves, unless the data goes back as well. Pure. */
export function planRollback(observed: Observation, goal: RollbackGoal): Plan {
  const { to, from, data, healthGate } = goal;
  const managed = observed.services.filter(
    ({ name, update, oneShot }) =>
      update === 'managed' && !oneShot && to.images[name] !== undefined && !OPERATOR_SERVICES.includes(name),
  );
  const names = (layer: string) => managed.filter((one) => one.layer === layer).map(({ name }) => name);
  const application = names('application');
  // What was never pinned was never replaced.
  const edge = names('infrastructure').filter(
    (name) => from.images[name] !== undefined && to.images[name] !== from.images[name],
  );
  const images = Object.fromEntries(
    [...edge, ...application].map((name) => [name, to.images[name] as string]),
  );
  const operatorImage = to.images.operator;
  const operator: Step[] =
    goal.operator && operatorImage
      ? [{ kind: 'replace-operator', version: to.version, image: operatorImage }]
      : [];
  const pin: Step[] =
    Object.keys(images).length > 0 ? [{ kind: 'pin-images', version: to.version, images }] : [];
  const serves = data === null && edge.length === 0 && managed.every(isUp);
  const replaced = [...edge, ...application];
  const timeoutSeconds = APPLICATION_TIMEOUT_SECONDS;
  const up: Step[] = serves
    ? application.map((service) => ({
        kind: 'roll-service',
        service,
        image: to.images[service] as string,
        timeoutSeconds,
      }))
    : [
        { kind: 'compose-up', services: replaced },
        { kind: 'wait-healthy', services: replaced, timeoutSeconds },
      ];
  // Those of a release that is long ago may have been removed; what is here is not pulled.
  const needed = [
    ...new Set([...Object.values(images), ...(goal.operator && operatorImage ? [operatorImage] : [])]),
  ];
  const steps: Step[] = [
    ...(needed.length > 0 ? [{ kind: 'pull-images' as const, images: needed, bundle: null }] : []),
    ...(data?.backup && operatorImage
      ? [
          { kind: 'hand-over' as const, version: to.version, image: operatorImage },
          { kind: 'load-backup' as const, backup: data.backup, database: data.incoming, bucket: null },
        ]
      : []),
    ...(data
      ? [
          { kind: 'compose-stop' as const, services: application },
          { kind: 'swap-database' as const, incoming: data.incoming, outgoing: data.outgoing },
        ]
      : []),
    ...pin,
    ...(replaced.length > 0 ? up : []),
    ...operator,
    { kind: 'health-gate', version: to.version, ...healthGate },
    { kind: 'record-release', version: to.version },
    ...(goal.copy !== null && data === null ? [{ kind: 'drop-copy' as const, database: goal.copy }] : []),
  ];
  return {
    goal: `roll back to ${to.version}`,
    steps,
    warnings: warningsOf(goal),
    destructive: data !== null,
  };
}

function warningsOf({ data, operator, to }: RollbackGoal): string[] {
  return [
    ...(data
      ? [
          `everything written since is not in ${data.backup ?? data.incoming}; it stays in database ${data.outgoing} until ./operator.sh backup prune --previous`,
        ]
      : []),
    ...(operator
      ? []
      : [`the operator stays newer than ${to.version}: it knows the schema, which stays as it is`]),
  ];
}
