import type { ConfigItem } from '@kg-operator/config';
import type { ConfigFinding, Observation, ServiceObservation } from '../model/observation.ts';
import type { BackupStatus } from './backup.ts';
import type { CertificateStatus } from './certificate.ts';
import { driftFindings, driftOf } from './drift.ts';
import { assessLayers, type LayerStatus, nextCommands } from './layers.ts';
import { type OperationStatus, operationStatus } from './operation.ts';

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
  /** The image that it runs instead of the one that was installed by an upgrade; null: that one, or there was no upgrade. */
  drift: string | null;
}

export interface StatusReport {
  project: string;
  engine: string;
  /**
   * All layers are as they should be, what runs is what was installed, no upgrade or rollback is interrupted or failed, and where TLS is
   * on, its certificate is good.
   */
  ok: boolean;
  url: string;
  operation: OperationStatus | null;
  layers: LayerStatus[];
  configuration: ConfigItem[];
  services: ServiceStatus[];
  /** It makes no layer less ready. */
  backup: BackupStatus;
  /** Null: TLS is off. Whether its chain is trusted is judged by the usual roots here; `cert status` knows the internal one. */
  certificate: CertificateStatus | null;
  /** What is not as it was installed. */
  findings: ConfigFinding[];
  next: string[];
}

/** What `status` answers; schema/json/status.schema.json describes it. Pure. */
export function reportOf(
  observed: Observation,
  backup: BackupStatus,
  engine: string,
  url: string,
  certificate: CertificateStatus | null = null,
): StatusReport {
  const layers = assessLayers(observed);
  const operation = operationStatus(observed.change);
  const findings = driftFindings(observed);
  return {
    project: observed.project,
    engine,
    ok:
      layers.every(({ ok }) => ok) &&
      findings.length === 0 &&
      (operation === null || operation.state === 'running') &&
      (certificate === null || certificate.ok),
    url,
    operation,
    layers,
    configuration: observed.database.reachable ? (observed.database.config?.items ?? []) : [],
    services: observed.services
      .filter(({ oneShot, containers }) => !oneShot || containers.length > 0)
      .map((service) => ({ ...serviceStatus(service), drift: driftOf(service, observed.pins) })),
    backup,
    certificate,
    findings,
    next: nextCommands(observed, layers),
  };
}

function serviceStatus({
  name,
  layer,
  update,
  containers,
}: ServiceObservation): Omit<ServiceStatus, 'drift'> {
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
