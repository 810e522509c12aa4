import { basename } from 'node:path';
import type { ConnectionSettings } from '@kg-operator/config';
import { EXIT, OperatorError } from '../model/errors.ts';
import { runProgram } from './database-programs.ts';
import { type DumpFile, openDump } from './dump-file.ts';
import { restrictedScript } from './dump-script.ts';

/**
 * Loads a dump into the database of a server that is there only for this: SQL that a superuser runs can do anything to its server, such
 * as `COPY … TO PROGRAM` or `ALTER SYSTEM`. All of it in one transaction.
 * @throws OperatorError DUMP_UNSAFE, DUMP_UNSUPPORTED, DUMP_ROLE_MISSING, DUMP_INCOMPLETE, DUMP_TRUNCATED, DUMP_DAMAGED, DUMP_NOT_LOADABLE,
 *   POSTGRESQL_CLIENT_MISSING; the signal's reason
 */
export async function loadDump(
  settings: ConnectionSettings,
  file: DumpFile,
  signal: AbortSignal,
): Promise<void> {
  try {
    if (file.format === 'plain')
      await runProgram('psql', SCRIPT, { settings, input: restrictedScript(openDump(file)), signal });
    else
      await runProgram('pg_restore', [...ARCHIVE, `--dbname=${settings.database}`], {
        settings,
        input: openDump(file),
        signal,
      });
  } catch (error) {
    throw error instanceof OperatorError && error.code === 'POSTGRESQL_CLIENT_FAILED'
      ? explain(file, error)
      : error;
  }
}

// --output: what its SELECTs answer is of no interest.
const SCRIPT = [
  '--no-psqlrc',
  '--quiet',
  '--no-password',
  '--output=/dev/null',
  '--set=ON_ERROR_STOP=1',
  '--single-transaction',
  '--file=-',
];
// Without --create: a database that the archive would make is not made.
const ARCHIVE = ['--exit-on-error', '--single-transaction', '--no-password', '--no-tablespaces'];

function explain({ path, format }: DumpFile, error: OperatorError): OperatorError {
  const said = [error.message, ...error.details].join('\n');
  const name = basename(path);
  const refuse = (code: string, message: string, hint: string) =>
    new OperatorError(code, message, { exitCode: EXIT.precondition, hint, cause: error });
  const role = /role "(.+?)" does not exist/.exec(said)?.[1];
  if (role !== undefined)
    return refuse(
      'DUMP_ROLE_MISSING',
      `${name} gives things to the role "${role}", which is not here`,
      `make it: ./operator.sh psql -c 'CREATE ROLE "${role}" NOLOGIN', or dump again with --no-owner --no-privileges`,
    );
  // psql's own complaint; the server's begin with ERROR.
  const line = /:(\d+): error: /.exec(said)?.[1];
  if (line !== undefined)
    return refuse(
      'DUMP_UNSAFE',
      `line ${line} of ${name} is a command for psql itself (such as \\connect or \\!), and none is run`,
      'pg_dump writes none without --create: dump again, without it; nothing was changed',
    );
  const whole = /(CREATE|DROP) DATABASE cannot/.exec(said)?.[0];
  if (whole !== undefined)
    return refuse(
      'DUMP_UNSAFE',
      `${name} would make or drop a database: it was made with pg_dump --create`,
      'dump again without --create: pg_dump -f backup.sql kg; nothing was changed',
    );
  const schema = /schema "(.+?)" does not exist/.exec(said)?.[1];
  if (schema !== undefined)
    return refuse(
      'DUMP_INCOMPLETE',
      `${name} is of a part of a database: it needs the schema "${schema}", and does not make it`,
      'dump the whole database, without --schema and --table: pg_dump -f backup.sql kg',
    );
  if (/unsupported version/.test(said))
    return refuse(
      'DUMP_UNSUPPORTED',
      `${name} was written by a newer pg_dump than this engine's pg_restore`,
      'dump again with an older pg_dump, of the version of the server here, or as a script: pg_dump -Fp',
    );
  return new OperatorError('DUMP_NOT_LOADABLE', `${name} can't be loaded: ${error.message}`, {
    exitCode: EXIT.precondition,
    details: error.details,
    hint:
      format === 'plain'
        ? 'the number is that of the line in the file; nothing was changed'
        : 'use another copy of it; nothing was changed',
    cause: error,
  });
}
