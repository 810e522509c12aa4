import { EXIT, messageOf, OperatorError } from '../model/errors.ts';

/** A failure of a dump as an error for people; one that is for them already stays what it is. */
export function dumpFailed(error: unknown): OperatorError {
  if (error instanceof OperatorError) return error;
  return new OperatorError('DUMP_FAILED', `the database could not be read to the end: ${reasonOf(error)}`, {
    exitCode: EXIT.afterImpact,
    hint: 'see that the database runs (./operator.sh status), then try again',
    cause: error,
  });
}

/** The same of a load. */
export function loadFailed(error: unknown): OperatorError {
  if (error instanceof OperatorError) return error;
  return new OperatorError('LOAD_FAILED', `the backup could not be loaded: ${reasonOf(error)}`, {
    exitCode: EXIT.afterImpact,
    hint: isDiskFull(error)
      ? "free some space on PostgreSQL's disk, then try again"
      : 'see that the database runs (./operator.sh status), then try again',
    cause: error,
  });
}

/** The same of a verification: nothing is known then. */
export function verifyFailed(error: unknown): OperatorError {
  if (error instanceof OperatorError) return error;
  return new OperatorError(
    'VERIFY_FAILED',
    `the restored database could not be checked: ${reasonOf(error)}`,
    {
      exitCode: EXIT.afterImpact,
      hint: 'see that the database runs (./operator.sh status), then try again',
      cause: error,
    },
  );
}

/** Rows or members are not those that the manifest tells of. */
export function dumpDamaged(why: string, cause?: unknown): OperatorError {
  return new OperatorError('BACKUP_DAMAGED', `the backup is damaged: ${why}`, {
    exitCode: EXIT.precondition,
    hint: 'use another copy of it, or another backup',
    cause,
  });
}

/** node-postgres says this of every query on a connection that broke before; why is known only to the first. */
function reasonOf(error: unknown): string {
  const message = messageOf(error);
  return /not queryable|Connection terminated/.test(message) ? 'the connection was lost' : message;
}

/** SQLSTATE 53100, disk_full: https://www.postgresql.org/docs/17/errcodes-appendix.html */
function isDiskFull(error: unknown): boolean {
  return (error as { code?: string }).code === '53100';
}
