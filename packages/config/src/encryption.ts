import { hkdfSync } from 'node:crypto';
import type { Secret } from './secret.ts';

/*
 * Credential format, version 1 (docs/adr/0002-credential-encryption.md):
 *
 *   1 byte version (0x01) | 8 bytes key id | 24 bytes nonce | XChaCha20-Poly1305 ciphertext with its 16-byte tag
 *
 * The key is HKDF-SHA256(ENCRYPTION_KEY, info "kg-operator/credentials/v1"). Associated data is the header (version, key id)
 * and the row's identity, so a ciphertext copied to another row does not open.
 */
const VERSION = 1;
const KEY_ID_BYTES = 8;
const NONCE_BYTES = 24;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + KEY_ID_BYTES;

/** `ENCRYPTION_KEY` is not 64 hexadecimal digits. */
export class InvalidEncryptionKey extends Error {
  constructor() {
    super('ENCRYPTION_KEY must be 64 hexadecimal digits (32 bytes)');
    this.name = 'InvalidEncryptionKey';
  }
}

/** A stored credential that does not open; `reason` never holds secret bytes. */
export class CredentialUnreadable extends Error {
  readonly row: string;

  constructor(row: string, reason: string) {
    super(`the stored credential "${row}" can't be decrypted: ${reason}`);
    this.name = 'CredentialUnreadable';
    this.row = row;
  }
}

/** A sealed credential as it is stored: the bytes, and the id of the key that seals them (16 hex digits). */
export interface SealedCredential {
  keyId: string;
  ciphertext: Uint8Array;
}

/**
 * The public name of an encryption key: 16 hexadecimal digits derived from it, safe to store, print and compare.
 * @throws InvalidEncryptionKey
 */
export function keyIdOf(encryptionKey: Secret): string {
  return derive(encryptionKey, 'kg-operator/key-id/v1', KEY_ID_BYTES).toString('hex');
}

/** Seals `plaintext` for the row `row` of `kg_api.system_api_keys`, with a fresh random nonce. */
export async function sealCredential(
  encryptionKey: Secret,
  row: string,
  plaintext: Secret,
): Promise<SealedCredential> {
  const sodium = await loadSodium();
  const keyId = keyIdOf(encryptionKey);
  const header = Buffer.concat([Buffer.from([VERSION]), Buffer.from(keyId, 'hex')]);
  const nonce = sodium.randombytes_buf(NONCE_BYTES);
  const sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
    Buffer.from(plaintext.reveal(), 'utf8'),
    associatedData(header, row),
    null,
    nonce,
    credentialsKey(encryptionKey),
  );
  return { keyId, ciphertext: Buffer.concat([header, nonce, sealed]) };
}

/**
 * Opens what `sealCredential` made for the same row under the same key.
 * @throws CredentialUnreadable when format, key, row or bytes do not fit.
 */
export async function openCredential(
  encryptionKey: Secret,
  row: string,
  ciphertext: Uint8Array,
): Promise<string> {
  const bytes = Buffer.from(ciphertext);
  if (bytes.length < HEADER_BYTES + NONCE_BYTES + TAG_BYTES)
    throw new CredentialUnreadable(row, 'it is too short');
  if (bytes[0] !== VERSION) throw new CredentialUnreadable(row, `unknown format version ${bytes[0]}`);
  const header = bytes.subarray(0, HEADER_BYTES);
  const sealedBy = header.subarray(1).toString('hex');
  const keyId = keyIdOf(encryptionKey);
  if (sealedBy !== keyId)
    throw new CredentialUnreadable(
      row,
      `it was encrypted with key ${sealedBy}, ENCRYPTION_KEY is key ${keyId}`,
    );
  const sodium = await loadSodium();
  try {
    const plain = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
      null,
      bytes.subarray(HEADER_BYTES + NONCE_BYTES),
      associatedData(header, row),
      bytes.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES),
      credentialsKey(encryptionKey),
    );
    return Buffer.from(plain).toString('utf8');
  } catch {
    // libsodium says only "wrong secret key for the given ciphertext"; the key is right, so the bytes or the row are not.
    throw new CredentialUnreadable(row, 'its bytes were altered, or it belongs to another row');
  }
}

function associatedData(header: Uint8Array, row: string): Uint8Array {
  return Buffer.concat([header, Buffer.from(`kg_api.system_api_keys/${row}`, 'utf8')]);
}

function credentialsKey(encryptionKey: Secret): Uint8Array {
  return derive(encryptionKey, 'kg-operator/credentials/v1', 32);
}

function derive(encryptionKey: Secret, info: string, bytes: number): Buffer {
  const hex = encryptionKey.reveal();
  if (!/^[0-9a-fA-F]{64}$/.test(hex)) throw new InvalidEncryptionKey();
  return Buffer.from(hkdfSync('sha256', Buffer.from(hex, 'hex'), '', info, bytes));
}

/** Loaded on first use: `status` compares key ids without paying for the WebAssembly. */
export async function loadSodium() {
  const { default: sodium } = await import('libsodium-wrappers-sumo');
  await sodium.ready;
  return sodium;
}
