import { loadSodium } from './encryption.ts';

// OWASP Password Storage Cheat Sheet, argon2id: at least 19 MiB of memory, 2 passes, 1 lane (libsodium always uses one lane).
const PASSES = 2;
const MEMORY_BYTES = 19 * 1024 * 1024;

/** The argon2id hash of a password in its standard text form (`$argon2id$v=19$m=19456,t=2,p=1$…`). Takes about 50 ms. */
export async function hashPassword(password: string): Promise<string> {
  const sodium = await loadSodium();
  return sodium.crypto_pwhash_str(password, PASSES, MEMORY_BYTES);
}

/** Whether `password` is the one that `hash` was made of; false for a hash that can't be read. */
export async function verifyPassword(hash: string, password: string): Promise<boolean> {
  const sodium = await loadSodium();
  return sodium.crypto_pwhash_str_verify(hash, password);
}
