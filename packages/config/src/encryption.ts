import { createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { CredentialUnreadable, InvalidEncryptionKey } from './errors.ts';
import { Secret } from './secret.ts';

/*
 * Credential format, version 1 (docs/credential-format.md):
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

/**
 * Seals `plaintext` for the row `row` of `kg_api.system_api_keys`, with a fresh random nonce.
 * @throws InvalidEncryptionKey
 */
export function sealCredential(encryptionKey: Secret, row: string, plaintext: Secret): SealedCredential {
  return { keyId: keyIdOf(encryptionKey), ciphertext: seal(encryptionKey, identityOf(row), plaintext) };
}

/**
 * Opens what `sealCredential` made for the same row under the same key.
 * @throws CredentialUnreadable when format, key, row or bytes do not fit; InvalidEncryptionKey
 */
export function openCredential(encryptionKey: Secret, row: string, ciphertext: Uint8Array): string {
  return open(encryptionKey, row, identityOf(row), ciphertext);
}

/** The bridge of a rotation, for `kg_api.key_fingerprint`: the new encryption key, sealed with the one before. */
export function sealBridge(from: Secret, to: Secret): Uint8Array {
  return seal(from, BRIDGE, to);
}

/** The new encryption key, by who has the one before. @throws CredentialUnreadable, InvalidEncryptionKey */
export function openBridge(from: Secret, bridge: Uint8Array): Secret {
  return new Secret(open(from, BRIDGE, BRIDGE, bridge));
}

function seal(encryptionKey: Secret, identity: string, plaintext: Secret): Uint8Array {
  const header = Buffer.concat([Buffer.from([VERSION]), Buffer.from(keyIdOf(encryptionKey), 'hex')]);
  const nonce = randomBytes(NONCE_BYTES);
  const sealed = cipher(encryptionKey, nonce, header, identity).encrypt(
    Buffer.from(plaintext.reveal(), 'utf8'),
  );
  return Buffer.concat([header, nonce, sealed]);
}

function open(encryptionKey: Secret, row: string, identity: string, ciphertext: Uint8Array): string {
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
  const nonce = bytes.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES);
  const opener = cipher(encryptionKey, nonce, header, identity);
  try {
    return Buffer.from(opener.decrypt(bytes.subarray(HEADER_BYTES + NONCE_BYTES))).toString('utf8');
  } catch {
    // The tag does not fit, and more is not known: the key is right, so the bytes or the row are not.
    throw new CredentialUnreadable(row, 'its bytes were altered, or it belongs to another row');
  }
}

function cipher(encryptionKey: Secret, nonce: Uint8Array, header: Uint8Array, identity: string) {
  const associatedData = Buffer.concat([header, Buffer.from(identity, 'utf8')]);
  return xchacha20poly1305(derive(encryptionKey, 'kg-operator/credentials/v1', 32), nonce, associatedData);
}

function identityOf(row: string): string {
  return `kg_api.system_api_keys/${row}`;
}

function derive(encryptionKey: Secret, info: string, bytes: number): Buffer {
  const hex = encryptionKey.reveal();
  if (!/^[0-9a-fA-F]{64}$/.test(hex)) throw new InvalidEncryptionKey();
  return Buffer.from(hkdfSync('sha256', Buffer.from(hex, 'hex'), '', info, bytes));
}
