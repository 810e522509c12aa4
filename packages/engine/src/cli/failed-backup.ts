import { EXIT, type ExitCode, OperatorError } from '../model/errors.ts';
import { toOperatorError } from './errors.ts';

/** Nothing was begun, somebody stopped it, or it is our bug: these codes stay. */
const KEPT: ExitCode[] = [EXIT.bug, EXIT.usage, EXIT.locked, EXIT.interrupted];

/** What a backup failed of, whichever of its parts it was, as exit 9: there is no half backup. */
export function failedBackup(error: unknown): OperatorError {
  const { code, message, exitCode, hint, details, cause } = toOperatorError(error);
  return new OperatorError(code, message, {
    exitCode: KEPT.includes(exitCode) ? exitCode : EXIT.afterImpact,
    ...(hint === undefined ? {} : { hint }),
    details,
    cause: cause ?? error,
  });
}
