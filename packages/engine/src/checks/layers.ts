import type { ConfigItem } from '@kg-operator/config';
import { type ConfigFinding, isUp, type Observation } from '../model/observation.ts';
import { count } from '../model/plan.ts';
import { driftFindings } from './drift.ts';
import { operationStatus } from './operation.ts';

export interface LayerStatus {
  name: 'secrets' | 'schema' | 'configuration' | 'application';
  ok: boolean;
  summary: string;
  /** The command that completes the layer. */
  next?: string;
}

/** The state of the four layers, lowest first. A layer that can't be seen is not ok. Pure. */
export function assessLayers(observed: Observation): LayerStatus[] {
  return [secrets(observed), schema(observed), configuration(observed), application(observed)];
}

const CLAIM = './operator.sh config claim';

/**
 * What to do next: the commands of an upgrade or rollback that is open, which the others have to wait for; otherwise those of the lowest
 * layer that is not ok, or how the first admin is made and what brings back the images that were installed; none when all is as it should
 * be.
 */
export function nextCommands(observed: Observation, layers = assessLayers(observed)): string[] {
  const operation = operationStatus(observed.change);
  if (operation) return operation.next;
  const lowest = layers.find(({ ok }) => !ok);
  if (!lowest)
    return [
      ...(isUnclaimed(observed) ? [CLAIM] : []),
      ...new Set(driftFindings(observed).map(({ fix }) => fix)),
    ];
  if (lowest.name === 'configuration')
    return [
      ...missingItems(observed).map(({ command }) => command),
      ...unreadable(observed).map(({ fix }) => fix),
    ];
  return lowest.next ? [lowest.next] : [];
}

function secrets({ database, encryptionKeyId, rotation }: Observation): LayerStatus {
  if (rotation) {
    return {
      name: 'secrets',
      ok: false,
      summary: `the rotation of ${rotation === 'unknown' ? 'a secret' : rotation} is not finished`,
      next: `./operator.sh rotate ${rotation === 'unknown' ? 'SECRET' : rotation}`,
    };
  }
  if (!encryptionKeyId)
    return { name: 'secrets', ok: false, summary: 'no ENCRYPTION_KEY', next: './operator.sh init' };
  const config = database.reachable ? database.config : null;
  const stored = config?.keyId;
  if (stored && config?.previousKeyId === encryptionKeyId) {
    return {
      name: 'secrets',
      ok: true,
      summary: `encryption key ${encryptionKeyId}, being rotated to ${stored}`,
      next: './operator.sh rotate encryption-key',
    };
  }
  if (stored && stored !== encryptionKeyId) {
    return {
      name: 'secrets',
      ok: false,
      summary: `ENCRYPTION_KEY is key ${encryptionKeyId}, the data is encrypted with key ${stored}`,
      next: 'restore the .env that belongs to this database',
    };
  }
  return {
    name: 'secrets',
    ok: true,
    summary: `encryption key ${encryptionKeyId}${stored ? ', the one of the data' : ''}`,
  };
}

function schema({ database, services }: Observation): LayerStatus {
  if (!database.reachable) {
    const down = services
      .filter((service) => service.layer === 'infrastructure' && !service.optional && !isUp(service))
      .map(({ name }) => name);
    const summary =
      down.length > 0 ? `not readable: ${down.join(', ')} not up` : `not readable: ${database.reason}`;
    return { name: 'schema', ok: false, summary, next: './operator.sh start' };
  }
  const { head, applied, pending } = database.schema;
  if (pending.length === 0) {
    return { name: 'schema', ok: true, summary: `${head}, ${count(applied, 'migration')} applied` };
  }
  const summary = `${pending.length} of ${applied + pending.length} migrations pending`;
  return { name: 'schema', ok: false, summary, next: './operator.sh migrate' };
}

function configuration(observed: Observation): LayerStatus {
  if (!observed.database.reachable || !observed.database.config)
    return { name: 'configuration', ok: false, summary: 'not readable yet' };
  const missing = missingItems(observed);
  const damaged = unreadable(observed);
  if (missing.length === 0 && damaged.length === 0)
    return isUnclaimed(observed)
      ? {
          name: 'configuration',
          ok: true,
          summary: 'complete; nobody has claimed the platform yet',
          next: CLAIM,
        }
      : { name: 'configuration', ok: true, summary: 'complete' };
  const summary = [
    ...(missing.length > 0 ? [`missing: ${missing.map(({ item }) => item).join(', ')}`] : []),
    ...damaged.map(({ problem }) => problem),
  ];
  return { name: 'configuration', ok: false, summary: summary.join('; ') };
}

function application({ services }: Observation): LayerStatus {
  const own = services.filter(({ layer, optional }) => layer === 'application' && !optional);
  const down = own.filter((service) => !isUp(service)).map(({ name }) => name);
  if (down.length === 0)
    return { name: 'application', ok: true, summary: `${own.map(({ name }) => name).join(', ')} up` };
  const started = own.some(({ containers }) =>
    containers.some(({ state }) => state === 'running' || state === 'restarting'),
  );
  return {
    name: 'application',
    ok: false,
    summary: `${down.join(', ')} not up`,
    next: started ? `./operator.sh logs ${down[0]}` : './operator.sh start',
  };
}

/** Credentials that do not open although the key is right; with another key none does, which is the lowest layer's to say. */
function unreadable(observed: Observation): ConfigFinding[] {
  const { database } = observed;
  return secrets(observed).ok && database.reachable ? (database.config?.unreadable ?? []) : [];
}

/** There is no admin, and who has the token of a claim makes the first one. */
function isUnclaimed({ database }: Observation): boolean {
  return database.reachable && database.config !== null && database.config.claim !== null;
}

function missingItems({ database }: Observation): ConfigItem[] {
  return database.reachable ? (database.config?.items.filter(({ ok }) => !ok) ?? []) : [];
}
