import { createHmac, hkdfSync } from 'node:crypto';
import { CredentialUnreadable, InvalidEncryptionKey } from './errors.ts';
import { Secret } from './secret.ts';

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
const FINGERPRINT_DIGITS = 16;
const BRIDGE = 'kg_api.key_fingerprint/bridge';

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

/**
 * Tells whether two credentials are the same, and nothing else of them: 16 hexadecimal digits, keyed with the encryption key. After a
 * rotation of that key the same credential has another fingerprint.
 * @throws InvalidEncryptionKey
 */
export function credentialFingerprint(encryptionKey: Secret, plaintext: Secret | string): string {
  const text = typeof plaintext === 'string' ? plaintext : plaintext.reveal();
  const subkey = derive(encryptionKey, 'kg-operator/fingerprint/v1', 32);
  return createHmac('sha256', subkey).update(text, 'utf8').digest('hex').slice(0, FINGERPRINT_DIGITS);
}

/** Seals `plaintext` for the row `row` of `kg_api.system_api_keys`, with a fresh random nonce. */
export async function sealCredential(
  encryptionKey: Secret,
  row: string,
  plaintext: Secret,
): Promise<SealedCredential> {
  const ciphertext = await seal(encryptionKey, `kg_api.system_api_keys/${row}`, plaintext);
  return { keyId: keyIdOf(encryptionKey), ciphertext };
}

/** While ENCRYPTION_KEY is rotated: the new key sealed with the one before, for `kg_api.key_fingerprint`. */
export async function sealBridge(from: Secret, to: Secret): Promise<Uint8Array> {
  return seal(from, BRIDGE, to);
}

/** @throws CredentialUnreadable */
export async function openBridge(from: Secret, bridge: Uint8Array): Promise<Secret> {
  return new Secret(await open(from, BRIDGE, BRIDGE, bridge));
}

async function seal(encryptionKey: Secret, identity: string, plaintext: Secret): Promise<Uint8Array> {
  const sodium = await loadSodium();
  const keyId = keyIdOf(encryptionKey);
  const header = Buffer.concat([Buffer.from([VERSION]), Buffer.from(keyId, 'hex')]);
  const nonce = sodium.randombytes_buf(NONCE_BYTES);
  const sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
    Buffer.from(plaintext.reveal(), 'utf8'),
    associatedData(header, identity),
    null,
    nonce,
    credentialsKey(encryptionKey),
  );
  return Buffer.concat([header, nonce, sealed]);
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
  return open(encryptionKey, row, `kg_api.system_api_keys/${row}`, ciphertext);
}

async function open(
  encryptionKey: Secret,
  row: string,
  identity: string,
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
      associatedData(header, identity),
      bytes.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES),
      credentialsKey(encryptionKey),
    );
    return Buffer.from(plain).toString('utf8');
  } catch {
    // libsodium says only "wrong secret key for the given ciphertext"; the key is right, so the bytes or the row are not.
    throw new CredentialUnreadable(row, 'its bytes were altered, or it belongs to another row');
  }
}

function associatedData(header: Uint8Array, identity: string): Uint8Array {
  return Buffer.concat([header, Buffer.from(identity, 'utf8')]);
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
