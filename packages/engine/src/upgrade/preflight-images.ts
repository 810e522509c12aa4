import { messageOf, OperatorError } from '../model/errors.ts';
import { bundleSource } from '../release/bundle-source.ts';
import { loadedIds } from '../release/hops.ts';
import type { RunContext } from '../run/context.ts';
import { asFinding, type Check, type Finding } from './preflight.ts';

/** References that Docker does not have yet. */
export async function notHere({ images }: RunContext, references: readonly string[]): Promise<string[]> {
  const found = await Promise.all(references.map((reference) => images.find(reference)));
  return references.filter((_, index) => found[index] === null);
}

/** Every image that is not here can be had: the registry says that it has it, or the bundle lists it. */
export const checkImages: Check = async (context, { images, bundle }) => {
  const absent = await notHere(context, images);
  if (absent.length === 0) return [];
  return bundle === null ? askRegistry(context, absent) : askBundle(context, absent, bundle);
};

async function askRegistry({ images, signal }: RunContext, absent: string[]): Promise<Finding[]> {
  const refusals = await Promise.all(
    absent.map((reference) =>
      images.ask(reference, signal).then(
        () => null,
        (error: unknown) => error,
      ),
    ),
  );
  const errors = refusals.filter((error) => error !== null);
  const strange = errors.find((error) => !(error instanceof OperatorError));
  if (strange) throw strange;
  // A registry that is off is one finding, not one for each image.
  const byCode = Map.groupBy(errors as OperatorError[], ({ code }) => code);
  return [...byCode.values()].map((same) => {
    const first = asFinding(same[0]);
    if (first.code === 'REGISTRY_UNREACHABLE' || same.length === 1) {
      const more = same.length > 1 ? `; the same for ${same.length - 1} more` : '';
      return { ...first, message: `${first.message}${more}` };
    }
    return { ...first, message: same.map(messageOf).join('; ') };
  });
}

async function askBundle({ images }: RunContext, absent: string[], bundle: string): Promise<Finding[]> {
  const { store } = await images.engine();
  const there = new Set(loadedIds(await bundleSource(bundle).images(), store).values());
  const missing = absent.filter((id) => !there.has(id));
  if (missing.length === 0) return [];
  return [
    {
      code: 'BUNDLE_INCOMPLETE',
      message: `${bundle} lacks ${missing.join(', ')}`,
      fix: 'make the bundle anew, with docker save of all images by their tags',
    },
  ];
}
