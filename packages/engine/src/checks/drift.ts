import type { ConfigFinding, Observation, ServiceObservation } from '../model/observation.ts';
import { pinnedAs } from '../upgrade/pins.ts';

/** What a service runs instead of the image that is pinned for it; null: what is pinned, or nothing is. Pure. */
export function driftOf(service: ServiceObservation, pins: Observation['pins']): string | null {
  const pin = pins?.[pinnedAs(service.name)];
  if (!pin || service.oneShot) return null;
  const other = service.containers.find(
    ({ image, imageId }) => image !== pin.image && imageId !== pin.image && imageId !== pin.id,
  );
  return other ? other.image : null;
}

/** Services that do not run what upgrade or rollback wrote down: somebody called compose by hand, or exchanged an image. Pure. */
export function driftFindings({ services, pins }: Observation): ConfigFinding[] {
  return services.flatMap((service) => {
    const image = driftOf(service, pins);
    if (image === null) return [];
    return [
      {
        problem: `${service.name} runs ${image}, and not ${pins?.[pinnedAs(service.name)]?.image}, which was installed`,
        fix: './operator.sh start',
      },
    ];
  });
}
