import type { StepOf } from '../model/plan.ts';
import type { RunContext } from '../run/context.ts';
import { readPins, writePins } from './pins.ts';

/** From now on Compose starts these services from these images; the others stay as they were. */
export async function pinImages(
  { version, images }: StepOf<'pin-images'>,
  { settings: { stateDirectory } }: RunContext,
): Promise<void> {
  const pins = await readPins(stateDirectory);
  await writePins(stateDirectory, { version, images: { ...pins?.images, ...images } });
}

export async function recordRelease(_s: StepOf<'record-release'>, _c: RunContext): Promise<void> {
  throw new Error('contract');
}
