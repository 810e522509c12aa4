import { growingPause } from '../adapters/clock.ts';
import { isWorthRetrying } from '../adapters/pull-errors.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { count, type StepOf } from '../model/plan.ts';
import { bundleSource } from '../release/bundle-source.ts';
import type { RunContext } from '../run/context.ts';
import type { Report } from '../run/execute.ts';
import { throwIfInterrupted } from '../run/wait.ts';

const AT_ONCE = 2;
const TRIES = 5;
/** Then 6, 12 and 24 s, each with up to half of it more: about a minute together. */
const FIRST_PAUSE_MS = 3000;

/**
 * Brings the images that are not here yet, and looks again. What is named by its digest or id can be nothing else.
 * @throws OperatorError as ImageStore.pull, or ImageStore.load and the bundle; IMAGES_MISSING
 */
export async function pullImages(
  { images, bundle }: StepOf<'pull-images'>,
  context: RunContext,
  report: Report,
): Promise<void> {
  const wanted = [...new Set(images)];
  const absent = await absentImages(wanted, context, report);
  if (absent.length === 0) return report(`all ${wanted.length} are here`);
  if (bundle === null) await pullAll(absent, context, report);
  else await loadBundle(bundle, context, report);
  const still = await absentImages(wanted, context, report);
  if (still.length > 0) throw missingAfter(still, bundle);
  report(`${count(absent.length, 'image')} ${bundle === null ? 'pulled' : 'loaded'}`);
}

/** Those of the references that Docker does not have. */
async function absentImages(references: string[], context: RunContext, report: Report): Promise<string[]> {
  const found = await retrying(context, report, 'Docker', () =>
    Promise.all(references.map((reference) => context.images.find(reference))),
  );
  return references.filter((_, index) => found[index] === null);
}

/** Two at once: one is unpacked while the other comes. The first failure ends the others. */
async function pullAll(references: string[], context: RunContext, report: Report): Promise<void> {
  const { images } = context;
  const own = new AbortController();
  const signal = AbortSignal.any([context.signal, own.signal]);
  const waiting = [...references];
  const failures: unknown[] = [];
  async function work(): Promise<void> {
    for (let reference = waiting.shift(); reference !== undefined; reference = waiting.shift()) {
      const [wanted, name] = [reference, shortName(reference)];
      const tell = (line: string) => report(`${name}: ${line}`);
      try {
        await retrying({ ...context, signal }, tell, name, () => images.pull(wanted, tell, signal));
      } catch (error) {
        failures.push(error);
        own.abort();
        return;
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  throwIfInterrupted(context.signal);
  if (failures.length > 0) throw failures[0];
}

/** Tries again where another try may succeed. */
async function retrying<T>(
  { clock, signal }: Pick<RunContext, 'clock' | 'signal'>,
  report: Report,
  what: string,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let tried = 1; ; tried += 1) {
    throwIfInterrupted(signal);
    try {
      return await attempt();
    } catch (error) {
      if (!isWorthRetrying(error) || tried === TRIES) throw error;
      const pause = growingPause(FIRST_PAUSE_MS, tried);
      report(`${messageOf(error)}; try ${tried + 1} of ${TRIES} in ${Math.round(pause / 1000)} s (${what})`);
      const end = clock.now() + pause;
      // In short parts, so that an interrupt is heard.
      for (let left = pause; left > 0; left = end - clock.now()) {
        await clock.sleep(Math.min(left, 500));
        throwIfInterrupted(signal);
      }
    }
  }
}

async function loadBundle(path: string, { images, signal }: RunContext, report: Report): Promise<void> {
  report(`loading the images of ${path}`);
  await images.load(await bundleSource(path).openImages(), report, signal);
}

/** `kg-operator-api` of `ghcr.io/kg-operator/kg-operator-api@sha256:…`. */
export function shortName(reference: string): string {
  return reference.replace(/@.*$/, '').split('/').at(-1) as string;
}

function missingAfter(references: string[], bundle: string | null): OperatorError {
  return new OperatorError(
    'IMAGES_MISSING',
    bundle === null
      ? 'Docker says that it pulled these images, and has not got them'
      : `${bundle} was loaded, and these images of the release are not in it`,
    {
      exitCode: EXIT.docker,
      details: references,
      hint: 'nothing was stopped; does something remove images on this host (docker image prune)? Then run the same command again',
    },
  );
}
