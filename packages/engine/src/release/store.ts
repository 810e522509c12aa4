import { chmod, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { syncPath } from '../backup/destination.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { releaseName, signatureName } from './document.ts';
import { isVersion } from './version.ts';

/** A document and its signatures, byte for byte. */
export interface SignedBytes {
  bytes: Buffer;
  signatures: Buffer;
}

/** The list of releases that was taken last, with what keeps an older one from being taken after it. */
export interface LastChannels extends SignedBytes {
  counter: number;
  /** Of `bytes`. */
  sha256: string;
  /** Ids of the trusted keys that had signed it then. */
  signedBy: string[];
  /** Address of the source. */
  source: string;
  /** ISO 8601, of the last time it was fetched, changed or not. */
  fetchedAt: string;
}

/** What is kept of releases in the state directory; each file is replaced by rename, so it is the old one or the new one, never half. */
export interface ReleaseStore {
  readLast(): Promise<LastChannels | null>;
  writeLast(last: LastChannels): Promise<void>;
  /** A release.json as it was fetched; null: it was not. */
  readRelease(version: string): Promise<SignedBytes | null>;
  writeRelease(version: string, release: SignedBytes): Promise<void>;
  /** The keys that the list was checked with, in the format of KG_RELEASE_KEYS; null: none were written. */
  readKeys(): Promise<string | null>;
  writeKeys(text: string): Promise<void>;
  /** Of every release.json that is there. */
  versions(): Promise<string[]>;
}

/** In `releases/` of the state directory: `last-channels.json`, `VERSION/release.json` and its `.minisig`, `trusted-keys`. */
export function releaseStore(stateDirectory: string): ReleaseStore {
  const folder = join(stateDirectory, 'releases');
  const lastPath = join(folder, 'last-channels.json');
  const keysPath = join(folder, 'trusted-keys');
  const place = (path: string, bytes: Uint8Array) => replaceReadable(stateDirectory, path, bytes);
  return {
    async readLast() {
      const bytes = await readIfThere(lastPath);
      if (!bytes) return null;
      return parseLast(bytes, lastPath);
    },
    // One file: two could not be replaced at one moment, and the counter must not be newer or older than the list.
    async writeLast({ bytes, signatures, ...rest }) {
      const value = { ...rest, document: bytes.toString('utf8'), signatures: signatures.toString('utf8') };
      await place(lastPath, Buffer.from(`${JSON.stringify(value, null, 1)}\n`));
    },
    async readRelease(version) {
      const path = join(folder, releaseName(version));
      const [bytes, signatures] = await Promise.all([readIfThere(path), readIfThere(signatureName(path))]);
      return bytes && signatures ? { bytes, signatures } : null;
    },
    async writeRelease(version, { bytes, signatures }) {
      const path = join(folder, releaseName(version));
      await place(signatureName(path), signatures);
      await place(path, bytes);
    },
    readKeys: async () => (await readIfThere(keysPath))?.toString('utf8') ?? null,
    async writeKeys(text) {
      if ((await readIfThere(keysPath))?.toString('utf8') !== text) await place(keysPath, Buffer.from(text));
    },
    async versions() {
      try {
        return (await readdir(folder)).filter(isVersion);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
        throw error;
      }
    },
  };
}

/**
 * Replaces a file beneath `releases/`. What is there holds no secret, and the console, which is nobody, reads it.
 * @throws OperatorError DISK_FULL, STATE_UNWRITABLE
 */
export async function replaceReadable(
  stateDirectory: string,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  await replaceFile(path, bytes, 0o644);
  for (const folder of new Set([join(stateDirectory, 'releases'), dirname(path)])) {
    try {
      await chmod(folder, 0o755);
    } catch (error) {
      // Somebody else's: then its mode is their will, and the console says what it can't read.
      if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
    }
  }
}

/** Guessing is not safe here: without the counter an older list could be taken. */
function parseLast(bytes: Buffer, path: string): LastChannels {
  try {
    const { document, signatures, ...rest } = JSON.parse(bytes.toString('utf8'));
    return { ...rest, bytes: Buffer.from(document), signatures: Buffer.from(signatures) } as LastChannels;
  } catch (cause) {
    throw new OperatorError('STATE_DAMAGED', `${path} can't be read`, {
      exitCode: EXIT.precondition,
      hint: 'remove it, then fetch the list of releases from a source you trust: ./operator.sh versions --refresh',
      cause,
    });
  }
}

/**
 * Written beside, flushed, renamed: it is the old one or the new one, also after a power loss.
 * @throws OperatorError DISK_FULL, STATE_UNWRITABLE
 */
export async function replaceFile(path: string, bytes: Uint8Array, mode = 0o600): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    try {
      await writeFlushed(partial, bytes, mode);
      await rename(partial, path);
    } catch (error) {
      await rm(partial, { force: true });
      throw error;
    }
    await syncPath(dirname(path));
    await removeLeftovers(path);
  } catch (error) {
    const isFull = (error as NodeJS.ErrnoException).code === 'ENOSPC';
    throw new OperatorError(
      isFull ? 'DISK_FULL' : 'STATE_UNWRITABLE',
      `${path} can't be written: ${messageOf(error)}`,
      {
        exitCode: EXIT.precondition,
        hint: isFull ? 'free some space; nothing was changed' : 'check the owner and mode of the folder',
        cause: error,
      },
    );
  }
}

async function writeFlushed(path: string, bytes: Uint8Array, mode: number): Promise<void> {
  const file = await open(path, 'w', mode);
  try {
    await file.chmod(mode);
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** What processes that were killed had begun to write. */
async function removeLeftovers(path: string): Promise<void> {
  for (const name of await readdir(dirname(path))) {
    const [, pid] = /\.(\d+)\.partial$/.exec(name) ?? [];
    if (pid && name === `${basename(path)}.${pid}.partial` && !isAlive(Number(pid)))
      await rm(join(dirname(path), name), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

async function readIfThere(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
