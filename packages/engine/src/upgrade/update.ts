import { nearest } from '@kg-operator/config';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { Observation, ServiceObservation } from '../model/observation.ts';
import type { Plan } from '../model/plan.ts';
import { OPERATOR_SERVICES } from '../plan/upgrade.ts';
import { imagesToRun, PLATFORM } from '../release/hops.ts';
import { fetchRelease } from '../release/room.ts';
import type { RunContext } from '../run/context.ts';
import { bundledImages, findWay, managedOnly, type UpgradeWish } from './prepare.ts';

/** An image of a release on the way. */
export interface UpdateImage {
  service: string;
  version: string;
  image: string;
  /** It was on this host already. */
  here: boolean;
}

export interface PreparedUpdate {
  installed: string;
  target: string;
  /** The versions to walk; none: the target is installed. */
  path: string[];
  images: UpdateImage[];
  plan: Plan;
}

/**
 * Fetches and checks the list of releases and the release.json of the next upgrade's way, and plans to pull its images.
 * @param service only this one's images; null: of all managed services
 * @throws OperatorError as findWay, fetchRelease, imagesToRun
 */
export async function prepareUpdate(
  context: RunContext,
  observed: Observation,
  wish: Pick<UpgradeWish, 'to' | 'channel' | 'from'>,
  service: string | null,
): Promise<PreparedUpdate> {
  const { room, source, channels, installed, target, path } = await findWay(context, observed, wish);
  const { bundle, loaded } = await bundledImages(context, source);
  const images: UpdateImage[] = [];
  for (const version of path) {
    const release = managedOnly(observed, await fetchRelease(room, source, channels, version));
    for (const [name, image] of Object.entries(imagesToRun(release, PLATFORM, loaded)))
      if (service === null || name === imageOwner(service))
        images.push({ service: name, version, image, here: (await context.images.find(image)) !== null });
  }
  const wanted = [...new Set(images.filter(({ here }) => !here).map(({ image }) => image))];
  const steps = wanted.length > 0 ? [{ kind: 'pull-images' as const, images: wanted, bundle }] : [];
  return {
    ...{ installed, target, path, images },
    plan: { goal: `fetch ${target}`, steps, warnings: [], destructive: false },
  };
}

/** Several services run the operator's image; a release names it once. */
function imageOwner(service: string): string {
  return OPERATOR_SERVICES.includes(service) ? 'operator' : service;
}

/** @throws OperatorError USAGE with the name that was probably meant */
export function serviceNamed({ services }: Observation, name: string): ServiceObservation {
  const found = services.find((service) => service.name === name);
  if (found) return found;
  const names = services.map((service) => service.name);
  const near = nearest(name, names);
  throw new OperatorError('USAGE', `there is no service ${name}`, {
    exitCode: EXIT.usage,
    hint: near ? `did you mean ${near}?` : `there are: ${names.join(', ')}`,
  });
}
