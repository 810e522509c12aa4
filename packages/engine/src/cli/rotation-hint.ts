import { OperatorError } from '../model/errors.ts';
import { unfinishedRotation } from '../model/rotation.ts';
import type { Settings } from '../model/settings.ts';

/** What a command meets whose `.env` and platform are of two sides of a rotation. */
const OF_TWO_SIDES = ['DATABASE_PASSWORD', 'WRONG_ENCRYPTION_KEY', 'GARAGE_REFUSED', 'UNHEALTHY'];

/** The same error; where an unfinished rotation explains it, with the command that finishes it. */
export function withRotationHint(error: OperatorError, settings: Settings | undefined): OperatorError {
  if (settings?.mode !== 'containers' || !OF_TWO_SIDES.includes(error.code)) return error;
  const secret = unfinishedRotation(settings.root);
  if (secret === null || error.hint?.includes('operator.sh rotate')) return error;
  return new OperatorError(error.code, error.message, {
    exitCode: error.exitCode,
    details: error.details,
    hint: `a rotation is not finished: ./operator.sh rotate ${secret === 'unknown' ? 'SECRET' : secret}`,
    cause: error.cause,
  });
}
