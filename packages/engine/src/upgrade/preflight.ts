import type { Observation } from '../model/observation.ts';
import type { Hop } from '../release/hops.ts';
import type { RunContext } from '../run/context.ts';
import type { ReleasePins } from './pins.ts';

export interface Finding {
  code: string;
  message: string;
  fix: string;
}

export async function preflight(
  _context: RunContext,
  _question: {
    hops: Hop[];
    observed: Observation;
    pins: ReleasePins;
    images: string[];
    bundle: string | null;
    backup: boolean;
  },
): Promise<Finding[]> {
  return [];
}
