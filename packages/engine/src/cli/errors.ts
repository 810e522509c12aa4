import {
  ConfigurationIncomplete,
  CredentialUnreadable,
  DatabaseUrlInvalid,
  InvalidEncryptionKey,
  SchemaMissing,
  SecretMissing,
  WrongEncryptionKey,
} from '@kg-operator/config';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';

/** What a person and `--json` are told of a failure: an allow-list, so that no flag, argument or connection string slips in. */
export interface ErrorDocument {
  code: string;
  message: string;
  hint?: string;
  details?: string[];
}

/** Connection failures of node-postgres and of the resolver: https://nodejs.org/api/errors.html#common-system-errors */
const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ECONNRESET',
]);

/** Class 57P, of a server that stops, has crashed or is recovering: https://www.postgresql.org/docs/17/errcodes-appendix.html */
const SERVER_ENDED = /^57P0[1-5]$/;

/** Turns anything thrown into an expected failure, or into our bug (exit 1). */
export function toOperatorError(error: unknown): OperatorError {
  if (error instanceof OperatorError) return error;
  if (error instanceof ConfigurationIncomplete) {
    return new OperatorError('CONFIGURATION_INCOMPLETE', 'configuration is incomplete', {
      exitCode: EXIT.configuration,
      details: error.missing.map(({ item, command }) => `${item} is missing: ${command}`),
      hint: 'run the commands above, then this one again',
      cause: error,
    });
  }
  if (error instanceof SchemaMissing)
    return expected(
      'SCHEMA_MISSING',
      'the database schema is not there yet',
      EXIT.schema,
      'run ./operator.sh migrate',
      error,
    );
  if (error instanceof WrongEncryptionKey)
    return expected('WRONG_ENCRYPTION_KEY', error.message, EXIT.configuration, 'nothing was changed', error);
  if (error instanceof CredentialUnreadable) {
    return expected(
      'CREDENTIAL_UNREADABLE',
      error.message,
      EXIT.configuration,
      'set the credential again with ./operator.sh config',
      error,
    );
  }
  if (error instanceof DatabaseUrlInvalid)
    return expected('DATABASE_URL_INVALID', error.message, EXIT.usage, 'correct DATABASE_URL', error);
  if (error instanceof InvalidEncryptionKey)
    return expected(
      'INVALID_ENCRYPTION_KEY',
      error.message,
      EXIT.precondition,
      'restore the .env of this installation',
      error,
    );
  if (error instanceof SecretMissing)
    return expected(
      'SECRET_MISSING',
      error.message,
      EXIT.precondition,
      'run ./operator.sh init on a new installation',
      error,
    );
  // @inquirer/prompts throws this on Ctrl-C: https://github.com/SBoudrias/Inquirer.js#handling-ctrlc-gracefully
  if (error instanceof Error && error.name === 'ExitPromptError') {
    return expected(
      'CANCELLED',
      'cancelled; what was written stays written',
      EXIT.interrupted,
      'run the same command again to go on',
      error,
    );
  }
  if (isUsageError(error))
    return expected('USAGE', messageOf(error), EXIT.usage, 'add --help to see how it is used', error);
  const code = (error as { code?: string } | null)?.code ?? '';
  if (
    UNREACHABLE.has(code) ||
    SERVER_ENDED.test(code) ||
    /Connection terminated|not queryable|timeout exceeded when trying to connect/.test(messageOf(error))
  ) {
    return expected(
      'DATABASE_UNREACHABLE',
      `the database can't be reached: ${messageOf(error)}`,
      EXIT.unhealthy,
      'start it with ./operator.sh start --infra-only',
      error,
    );
  }
  if (code === '28P01') {
    return expected(
      'DATABASE_PASSWORD',
      'the database refused POSTGRES_PASSWORD',
      EXIT.precondition,
      'restore the .env that belongs to this database',
      error,
    );
  }
  if (code === '53100') {
    return expected(
      'DISK_FULL',
      `PostgreSQL has no space left: ${messageOf(error)}`,
      EXIT.precondition,
      'free some space on its disk, then run the same command again',
      error,
    );
  }
  return new OperatorError('BUG', messageOf(error), {
    exitCode: EXIT.bug,
    hint: 'this is a bug of kg-operator: run it again with --debug and report what it prints',
    cause: error,
  });
}

/** The error member of the `--json` document. */
export function errorDocument(error: OperatorError): ErrorDocument {
  return {
    code: error.code,
    message: error.message,
    ...(error.details.length > 0 ? { details: error.details } : {}),
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  };
}

function expected(
  code: string,
  message: string,
  exitCode: OperatorError['exitCode'],
  hint: string,
  cause: unknown,
): OperatorError {
  return new OperatorError(code, message, { exitCode, hint, cause });
}

/** oclif's own errors about flags and arguments carry `oclif.exit` 2; their message never repeats a secret because no secret is a flag. */
function isUsageError(error: unknown): boolean {
  return (error as { oclif?: { exit?: number } } | null)?.oclif?.exit === EXIT.usage;
}
