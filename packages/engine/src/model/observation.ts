import type { ConfigState } from '@kg-operator/config';
import type { Run } from '../history/runs.ts';
import type { RotatedSecret } from './rotation.ts';

export const LAYERS = ['infrastructure', 'schema', 'application'] as const;
/** The layer a service says it belongs to, in its label `kg-operator.layer`. */
export type Layer = (typeof LAYERS)[number];
/** Label `kg-operator.update`: `managed` services change with an upgrade, `pinned` ones only by hand. */
export type UpdatePolicy = 'managed' | 'pinned';

/** A service as compose declares it. */
export interface DeclaredService {
  name: string;
  layer: Layer;
  update: UpdatePolicy;
  /** A job that ends (restart policy `no`): it is not brought up or waited for. */
  oneShot: boolean;
  /** Label `kg-operator.optional`: it is brought up, but nothing waits for it or fails without it. */
  optional: boolean;
}

/** A container as Docker reports it. */
export interface ContainerObservation {
  id: string;
  service: string;
  /** Docker's state: created, running, paused, restarting, removing, exited, dead. */
  state: string;
  health: 'healthy' | 'unhealthy' | 'starting' | 'none';
  /** Docker's sentence, such as `Up 3 minutes (healthy)`. */
  status: string;
  image: string;
  /** `sha256:…` of the image the container runs. */
  imageId: string;
  /** Label `org.opencontainers.image.version`, if the image has one. */
  version: string | null;
}

export interface ServiceObservation extends DeclaredService {
  containers: ContainerObservation[];
  /** This very process runs in it: it is never recreated or stopped by the engine. */
  self: boolean;
}

export interface SchemaObservation {
  /** Id of the newest applied migration; null before the first. */
  head: string | null;
  applied: number;
  /** Ids that this engine has and the database has not, in order. */
  pending: string[];
}

/** Why the platform is not ready, and what makes it so. */
export interface ConfigFinding {
  problem: string;
  /** A command, or what to do by hand. */
  fix: string;
}

export interface ConfigObservation extends ConfigState {
  /** Credentials that do not open. */
  unreadable: ConfigFinding[];
}

export type DatabaseObservation =
  | { reachable: false; reason: string }
  | { reachable: true; schema: SchemaObservation; config: ConfigObservation | null };

/** An upgrade or rollback about which something is still open. */
export interface ChangeObservation {
  run: Run;
  /** A runner is at it. */
  running: boolean;
}

/** The image that a service is to run. */
export interface PinObservation {
  /** `NAME@sha256:…`, or the id of an image that came in a bundle. */
  image: string;
  /** Id of that image here; null: it is not here, or nothing runs that had to be compared with it. */
  id: string | null;
}

/** Everything that can be seen. Planners decide from this and nothing else. */
export interface Observation {
  project: string;
  services: ServiceObservation[];
  database: DatabaseObservation;
  /** The secret whose rotation was begun and not finished. */
  rotation?: RotatedSecret | 'unknown' | null;
  /** Id of the `ENCRYPTION_KEY` in force, if there is one. */
  encryptionKeyId: string | null;
  /** Null: none. */
  change?: ChangeObservation | null;
  /** By service; null: nothing was ever upgraded, and nothing is pinned. */
  pins?: Record<string, PinObservation> | null;
}

/** Whether a service is there and serving: running, and healthy if it says so. */
export function isUp(service: ServiceObservation): boolean {
  return (
    service.containers.length > 0 &&
    service.containers.every(
      ({ state, health }) => state === 'running' && (health === 'healthy' || health === 'none'),
    )
  );
}
