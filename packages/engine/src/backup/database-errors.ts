import { EXIT, messageOf, OperatorError } from '../model/errors.ts';

/** A failure of a dump as an error for people; one that is for them already stays what it is. */
export function dumpFailed(error: unknown): OperatorError {
  if (error instanceof OperatorError) return error;
  return new OperatorError('DUMP_FAILED', `the database could not be read to the end: ${reasonOf(error)}`, {
    exitCode: EXIT.afterImpact,
    hint: hintFor(error),
    cause: error,
  });
}

/** The same of a load. */
export function loadFailed(error: unknown): OperatorError {
  if (error instanceof OperatorError) return error;
  return new OperatorError('LOAD_FAILED', `the backup could not be loaded: ${reasonOf(error)}`, {
    exitCode: EXIT.afterImpact,
    hint: hintFor(error),
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
      hint: hintFor(error),
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
  return LOST.test(message) ? 'the connection was lost' : message;
}

/**
 * Whether the server or the connection is to blame, and not the statement or the data: no space or memory, a server that stops or has
 * crashed, a connection that was lost. By class: https://www.postgresql.org/docs/17/errcodes-appendix.html
 */
export function isOfServer(error: unknown): boolean {
  const { code = '' } = error as { code?: string };
  return /^(?:08|53|57|58)...$/.test(code) || /^E[A-Z]+$/.test(code) || LOST.test(messageOf(error));
}

const LOST = /not queryable|Connection terminated/;

function hintFor(error: unknown): string {
  return (error as { code?: string }).code === DISK_FULL
    ? "free some space on PostgreSQL's disk, then try again"
    : 'see that the database runs (./operator.sh status), then try again';
}

const DISK_FULL = '53100';
