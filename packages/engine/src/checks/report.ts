import type { ConfigItem } from '@kg-operator/config';
import type { Observation, ServiceObservation } from '../model/observation.ts';
import type { BackupStatus } from './backup.ts';
import { assessLayers, type LayerStatus, nextCommands } from './layers.ts';

interface ServiceStatus {
  name: string;
  layer: string;
  update: string;
  /** Docker's state of its container; `missing` without one; `mixed` when copies differ. */
  state: string;
  health: string;
  version: string | null;
  /** The first 12 hexadecimal digits of the image's SHA-256. */
  digest: string | null;
}

export interface StatusReport {
  project: string;
  engine: string;
  ok: boolean;
  url: string;
  layers: LayerStatus[];
  configuration: ConfigItem[];
  services: ServiceStatus[];
  /** It makes no layer less ready. */
  backup: BackupStatus;
  next: string[];
}

/** What `status` answers; schema/json/status.schema.json describes it. Pure. */
export function reportOf(
  observed: Observation,
  backup: BackupStatus,
  engine: string,
  url: string,
): StatusReport {
  const layers = assessLayers(observed);
  return {
    project: observed.project,
    engine,
    ok: layers.every(({ ok }) => ok),
    url,
    layers,
    configuration: observed.database.reachable ? (observed.database.config?.items ?? []) : [],
    services: observed.services
      .filter(({ oneShot, containers }) => !oneShot || containers.length > 0)
      .map(serviceStatus),
    backup,
    next: nextCommands(observed, layers),
  };
}

function serviceStatus({ name, layer, update, containers }: ServiceObservation): ServiceStatus {
  const same = (pick: (container: (typeof containers)[number]) => string): string => {
    const values = new Set(containers.map(pick));
    return values.size > 1 ? 'mixed' : ([...values][0] ?? '');
  };
  const [first] = containers;
  return {
    name,
    layer,
    update,
    state: first ? same(({ state }) => state) : 'missing',
    health: first ? same(({ health }) => health) : '-',
    version: first?.version ?? null,
    digest: first?.imageId.replace('sha256:', '').slice(0, 12) ?? null,
  };
}
