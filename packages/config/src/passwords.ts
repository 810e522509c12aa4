import crypto, { timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

// OWASP Password Storage Cheat Sheet, argon2id: at least 19 MiB of memory, 2 passes, 1 lane (libsodium always uses one lane).
const PASSES = 2;
const MEMORY_BYTES = 19 * 1024 * 1024;

/** The argon2id hash of a password in its standard text form (`$argon2id$v=19$m=19456,t=2,p=1$…`). Takes about 50 ms. */
export async function hashPassword(password: string): Promise<string> {
  const sodium = await loadSodium();
  return sodium.crypto_pwhash_str(password, PASSES, MEMORY_BYTES);
}

/**
 * Whether `password` is the one that `hash` was made of; false for a hash that can't be read. Takes about 30 ms: in a thread where Node
 * has argon2 (24.7 on), and in the event loop with libsodium where it has not.
 */
export async function verifyPassword(hash: string, password: string): Promise<boolean> {
  const own = parse(hash);
  const digest = own && (await nodeArgon2id(own, password));
  if (digest) return timingSafeEqual(digest, own.digest);
  const sodium = await loadSodium();
  return sodium.crypto_pwhash_str_verify(hash, password);
}

interface Argon2idHash {
  memoryKib: number;
  passes: number;
  lanes: number;
  salt: Buffer;
  digest: Buffer;
}

/** The text form that libsodium writes: https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md */
function parse(hash: string): Argon2idHash | null {
  const [, memory, passes, lanes, salt = '', digest = ''] =
    /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]{11,})\$([A-Za-z0-9+/]{22,})$/.exec(hash) ??
    [];
  if (!digest) return null;
  return {
    memoryKib: Number(memory),
    passes: Number(passes),
    lanes: Number(lanes),
    salt: Buffer.from(salt, 'base64'),
    digest: Buffer.from(digest, 'base64'),
  };
}

/** Null where this Node, or the OpenSSL it was built with, has no argon2. */
async function nodeArgon2id(
  { memoryKib, passes, lanes, salt, digest }: Argon2idHash,
  password: string,
): Promise<Buffer | null> {
  // Node 22, for which the npm package is made too, has none.
  if (!('argon2' in crypto)) return null;
  try {
    return await promisify(crypto.argon2)('argon2id', {
      message: password,
      nonce: salt,
      parallelism: lanes,
      tagLength: digest.length,
      memory: memoryKib,
      passes,
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_CRYPTO_ARGON2_NOT_SUPPORTED') return null;
    throw error;
  }
}

/** Loaded on first use: most commands need no password, and should not pay for the WebAssembly. */
async function loadSodium() {
  const { default: sodium } = await import('libsodium-wrappers-sumo');
  await sodium.ready;
  return sodium;
}
