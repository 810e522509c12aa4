import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import type { ConnectionSettings } from '@kg-operator/config';
import { EXIT, OperatorError } from '../model/errors.ts';

export type Program = 'pg_dump' | 'pg_restore' | 'psql';

export interface ProgramOptions {
  /** The database it connects to; none if it only reads an archive. */
  settings?: ConnectionSettings;
  /** What it reads from its standard input. */
  input?: Buffer | string | AsyncIterable<Uint8Array>;
  signal?: AbortSignal | undefined;
}

/**
 * Runs one of PostgreSQL's own programs, found on PATH, to its end. Returns all it writes to stdout: schemas, not rows. The password
 * goes through its environment.
 * @throws OperatorError POSTGRESQL_CLIENT_MISSING, POSTGRESQL_CLIENT_FAILED with what it said
 */
export async function runProgram(
  program: Program,
  args: string[],
  { settings, input, signal }: ProgramOptions,
): Promise<Buffer> {
  signal?.throwIfAborted();
  const child = spawn(program, args, {
    env: environment(settings),
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  const stop = () => child.kill('SIGTERM'); // pg_restore -j ends its workers itself
  signal?.addEventListener('abort', stop, { once: true });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  try {
    // A program that fails stops reading: its own words say why, not the broken pipe.
    const fed =
      child.stdin && input !== undefined
        ? pipeline(chunksOf(input), child.stdin).catch((error) => error as Error)
        : undefined;
    const [code, stdout, stderr, unread] = await Promise.all([
      ended,
      buffer(child.stdout as Readable),
      text(child.stderr as Readable),
      fed,
    ]);
    signal?.throwIfAborted();
    if (unread instanceof OperatorError) throw unread; // what it was to read is at fault
    if (code !== 0) throw failed(program, stderr);
    if (unread instanceof Error) throw failed(program, unread.message);
    return stdout;
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOENT') throw error;
    throw new OperatorError('POSTGRESQL_CLIENT_MISSING', `${program} is not installed here`, {
      exitCode: EXIT.precondition,
      hint: "install PostgreSQL's client, of the server's version or later",
      cause: error,
    });
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

function chunksOf(
  input: NonNullable<ProgramOptions['input']>,
): Iterable<Buffer | string> | AsyncIterable<Uint8Array> {
  return typeof input === 'string' || Buffer.isBuffer(input) ? [input] : input;
}

function environment(settings: ConnectionSettings | undefined): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  if (!settings) return { PATH, HOME, LC_ALL: 'C' };
  const { host, port, user, database, password, tls } = settings;
  return {
    PATH,
    HOME,
    LC_ALL: 'C',
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGDATABASE: database,
    PGPASSWORD: password.reveal(),
    PGAPPNAME: 'kg-operator backup',
    PGCONNECT_TIMEOUT: '10',
    ...(tls ? { PGSSLMODE: tls === 'verify' ? 'verify-full' : 'require' } : {}),
    // libpq looks for ~/.postgresql/root.crt otherwise; node-postgres trusts the system's authorities.
    ...(tls === 'verify' ? { PGSSLROOTCERT: 'system' } : {}),
  };
}

// DETAIL and CONTEXT can quote rows.
const COMPLAINT = /error:|ERROR:|FATAL:|PANIC:|HINT:/;

function failed(program: Program, stderr: string): OperatorError {
  const lines = stderr.split('\n').filter((line) => COMPLAINT.test(line));
  const [first = 'it said nothing', ...others] =
    lines.length > 0 ? lines : stderr.trim().split('\n').slice(-3);
  return new OperatorError('POSTGRESQL_CLIENT_FAILED', `${program} failed: ${first.trim()}`, {
    exitCode: EXIT.afterImpact,
    details: others.slice(0, 20),
    hint: /version mismatch|unsupported version/.test(stderr)
      ? `install ${program} of the server's version or later`
      : /No space left on device/.test(stderr)
        ? "free some space on PostgreSQL's disk, then try again"
        : 'see that the database runs (./operator.sh status), then try again',
  });
}
