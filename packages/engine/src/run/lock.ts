import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { createServer, type ListenOptions } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { Settings } from '../model/settings.ts';

export interface Holder {
  command: string;
  /** In the container that it runs in. */
  pid: number;
  since: string;
}

/**
 * Takes the lock of an installation, which the kernel releases however the process ends, so there is no stale lock to delete.
 * `holder.json` only tells a person who has it. Returns the function that gives it back.
 * @throws OperatorError LOCKED (exit 5) naming the holder
 */
export async function takeLock(stateDirectory: string, command: string): Promise<() => Promise<void>> {
  await mkdir(stateDirectory, { recursive: true, mode: 0o700 });
  const release = await lock(stateDirectory);
  const holderFile = join(stateDirectory, 'holder.json');
  const holder: Holder = { command, pid: process.pid, since: new Date().toISOString() };
  await writeFile(holderFile, `${JSON.stringify(holder)}\n`, { mode: 0o600 });
  return async () => {
    await rm(holderFile, { force: true });
    await release();
  };
}

/**
 * A lock that is taken is looked at again. Whoever has it may only ask whether it is free, or have taken it this instant, and until it has
 * written its name holder.json is missing, or names a command that was killed.
 */
async function lock(stateDirectory: string): Promise<() => Promise<void>> {
  for (let look = 1; ; look++) {
    const release = (await lockFile(stateDirectory)) ?? (await lockSocket(stateDirectory));
    if (release !== 'taken') return release;
    const holder = await readHolder(stateDirectory);
    if ((holder && look > 1) || look === LOOKS) throw locked(holder);
    await sleep(LOOK_AGAIN_MS);
  }
}

/** Whether somebody has the lock at this moment. Asking takes it for a moment where it is free. */
export async function isLocked(stateDirectory: string): Promise<boolean> {
  const release = (await lockFile(stateDirectory)) ?? (await lockSocket(stateDirectory));
  if (release === 'taken') return true;
  await release();
  return false;
}

type Taken = (() => Promise<void>) | 'taken';
// Of flock's own exit codes none means this; EX_TEMPFAIL of sysexits.h.
const HELD = 75;
// Asking takes some milliseconds; a machine that needs two seconds for a name of a hundred bytes has other worries.
const LOOK_AGAIN_MS = 50;
const LOOKS = 40;

/**
 * flock(2) on a file: it counts in every container that sees the folder, so that the operator and a runner exclude each other. Node can't
 * ask for it, but a lock belongs to the open file, which flock(1) shares with us: it locks, ends, and the lock stays until we close it.
 * Null where there is no such program (it is in the operator's image), or no such lock on this file system.
 */
async function lockFile(stateDirectory: string): Promise<Taken | null> {
  if (process.platform !== 'linux') return null;
  const file = await open(join(stateDirectory, 'lock'), 'a', 0o600);
  const flock = spawn('flock', ['--exclusive', '--nonblock', '--conflict-exit-code', String(HELD), '3'], {
    stdio: ['ignore', 'ignore', 'ignore', file.fd],
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    // Of too many processes it must not be concluded that there is no such program: with the other lock two could be at it.
    flock.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ENOENT' ? resolve(null) : reject(error),
    );
    flock.once('close', resolve);
  }).catch(async (error) => {
    await file.close();
    throw error;
  });
  if (code === 0) return () => file.close();
  await file.close();
  return code === HELD ? 'taken' : null;
}

/** A listening socket, one for this network namespace. */
async function lockSocket(stateDirectory: string): Promise<Taken> {
  const server = createServer((socket) => socket.destroy());
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(lockAddress(stateDirectory), resolve);
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return 'taken';
    throw error;
  }
  server.unref();
  return () => new Promise<void>((resolve) => server.close(() => resolve()));
}

/**
 * Which lock a plan takes. That of an embedded database's directory belongs to whoever has the database open, a `dev` that serves or this
 * process itself; plans have one of their own beside it.
 */
export async function planLock({ mode, stateDirectory }: Settings): Promise<string> {
  if (mode !== 'embedded') return stateDirectory;
  const folder = join(stateDirectory, 'backups');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return realpath(folder);
}

/** An abstract unix socket on Linux, a named pipe on Windows, a loopback port elsewhere: all end with their process. */
export function lockAddress(
  stateDirectory: string,
  platform: NodeJS.Platform = process.platform,
): ListenOptions {
  const digest = createHash('sha256').update(stateDirectory).digest();
  if (platform === 'linux') return { path: `\0kg-operator/${digest.toString('hex')}` };
  if (platform === 'win32') return { path: `\\\\.\\pipe\\kg-operator-${digest.toString('hex')}` };
  // The dynamic range of RFC 6335 §6 is 49152–65535.
  return { host: '127.0.0.1', port: 49152 + (digest.readUInt16BE(0) % 16384), exclusive: true };
}

function locked(holder: Holder | null): OperatorError {
  return new OperatorError(
    'LOCKED',
    holder ? `"${holder.command}" is running since ${holder.since}` : 'another command is running',
    { exitCode: EXIT.locked, hint: 'wait for it to end; if it died, the lock is already free' },
  );
}

async function readHolder(stateDirectory: string): Promise<Holder | null> {
  try {
    return JSON.parse(await readFile(join(stateDirectory, 'holder.json'), 'utf8')) as Holder;
  } catch {
    return null; // not written yet, or just removed: the lock itself has said all that matters
  }
}
