import { EXIT, OperatorError } from '../model/errors.ts';
import type { Observation } from '../model/observation.ts';
import type { Hop } from '../release/hops.ts';
import type { RunContext } from '../run/context.ts';
import type { ReleasePins } from './pins.ts';
import { checkCompose, checkDocker, checkMemory, checkShim } from './preflight-host.ts';
import { checkImages } from './preflight-images.ts';
import {
  checkDatabase,
  checkHooks,
  checkMigrations,
  checkServices,
  checkUnfinished,
} from './preflight-platform.ts';
import { checkSpace } from './preflight-space.ts';

/** Why an upgrade is not begun, and what mends it. */
export interface Finding {
  code: string;
  message: string;
  fix: string;
}

export interface PreflightQuestion {
  hops: Hop[];
  observed: Observation;
  pins: ReleasePins;
  /** References of all hops. */
  images: string[];
  /** The file that the images come from; null: the registry. */
  bundle: string | null;
  /** One is going to be made. */
  backup: boolean;
}

export type Check = (context: RunContext, question: PreflightQuestion) => Promise<Finding[]>;

const CHECKS: Check[] = [
  checkDocker,
  checkCompose,
  checkShim,
  checkMemory,
  checkServices,
  checkDatabase,
  checkMigrations,
  checkUnfinished,
  checkHooks,
  checkImages,
  checkSpace,
];

/** Everything that would keep an upgrade from going well, as far as it can be seen beforehand; all at once. Changes nothing. */
export async function preflight(context: RunContext, question: PreflightQuestion): Promise<Finding[]> {
  const found = await Promise.all(
    CHECKS.map((check) => check(context, question).catch((error: unknown) => [asFinding(error)])),
  );
  return found.flat();
}

/** What can't be looked at is a finding, too. @throws what is our bug, or an interrupt */
export function asFinding(error: unknown): Finding {
  if (!(error instanceof OperatorError) || error.exitCode === EXIT.interrupted) throw error;
  const { code, message, details, hint } = error;
  return {
    code,
    message: details.length > 0 ? `${message} (${details.join('; ')})` : message,
    fix: hint ?? 'see ./operator.sh status',
  };
}
