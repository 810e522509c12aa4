import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import sodium from 'libsodium-wrappers-sumo';
import { openBridge, sealBridge } from '../../src/encryption.ts';
import {
  CredentialUnreadable,
  credentialFingerprint,
  InvalidEncryptionKey,
  keyIdOf,
  openCredential,
  Secret,
  sealCredential,
} from '../../src/index.ts';
import { hchacha20, hkdf, openByTheBook } from '../credential-format.ts';

interface Sealed {
  encryptionKey: string;
  identity: string;
  plaintext: string;
  nonce: string;
  ciphertext: string;
}
interface Vectors {
  keys: { encryptionKey: string; keyId: string; credentialsKey: string; fingerprintKey: string }[];
  credentials: (Sealed & { row: string; fingerprint: string })[];
  bridge: Sealed;
  rejected: { why: string; encryptionKey: string; row: string; ciphertext: string }[];
}
const vectors = JSON.parse(
  readFileSync(new URL('../credential-vectors.json', import.meta.url), 'utf8'),
) as Vectors;

const key = new Secret('0123456789abcdef'.repeat(4));
const bytes = (hex: string) => Buffer.from(hex, 'hex');

/** What another implementation, libsodium, makes of the same input. */
function sealWithSodium({ encryptionKey, identity, plaintext, nonce }: Sealed): string {
  const header = Buffer.concat([Buffer.from([1]), hkdf(encryptionKey, 'kg-operator/key-id/v1', 8)]);
  const sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
    Buffer.from(plaintext),
    Buffer.concat([header, Buffer.from(identity)]),
    null,
    bytes(nonce),
    hkdf(encryptionKey, 'kg-operator/credentials/v1', 32),
  );
  return Buffer.concat([header, bytes(nonce), sealed]).toString('hex');
}

describe('the published vectors', () => {
  test.each(vectors.keys)('key $keyId', ({ encryptionKey, keyId, credentialsKey, fingerprintKey }) => {
    expect(keyIdOf(new Secret(encryptionKey))).toBe(keyId);
    expect(keyIdOf(new Secret(encryptionKey.toUpperCase()))).toBe(keyId);
    expect(hkdf(encryptionKey, 'kg-operator/credentials/v1', 32).toString('hex')).toBe(credentialsKey);
    expect(hkdf(encryptionKey, 'kg-operator/fingerprint/v1', 32).toString('hex')).toBe(fingerprintKey);
  });

  test.each(vectors.credentials)(
    '$row opens, by this code, by the book, and as libsodium seals it',
    async (sealed) => {
      await sodium.ready;
      const { encryptionKey, row, identity, plaintext, ciphertext, fingerprint } = sealed;
      expect(openCredential(new Secret(encryptionKey), row, bytes(ciphertext))).toBe(plaintext);
      expect(openByTheBook(encryptionKey, identity, bytes(ciphertext))).toBe(plaintext);
      expect(sealWithSodium(sealed)).toBe(ciphertext);
      expect(credentialFingerprint(new Secret(encryptionKey), plaintext)).toBe(fingerprint);
      const subkey = hkdf(encryptionKey, 'kg-operator/fingerprint/v1', 32);
      expect(createHmac('sha256', subkey).update(plaintext).digest('hex')).toMatch(
        new RegExp(`^${fingerprint}`),
      );
    },
  );

  test('the bridge opens, by this code, by the book, and as libsodium seals it', async () => {
    await sodium.ready;
    const { encryptionKey, identity, plaintext, ciphertext } = vectors.bridge;
    expect(openBridge(new Secret(encryptionKey), bytes(ciphertext)).reveal()).toBe(plaintext);
    expect(openByTheBook(encryptionKey, identity, bytes(ciphertext))).toBe(plaintext);
    expect(sealWithSodium(vectors.bridge)).toBe(ciphertext);
  });

  test.each(vectors.rejected)('$why does not open', ({ encryptionKey, row, ciphertext }) => {
    expect(unreadable(row, bytes(ciphertext), new Secret(encryptionKey))).toMatchObject({ row });
    expect(() => openByTheBook(encryptionKey, `kg_api.system_api_keys/${row}`, bytes(ciphertext))).toThrow();
  });

  test('HChaCha20 of the test is that of draft-irtf-cfrg-xchacha-03, 2.2.1', () => {
    const ordered = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
    expect(hchacha20(ordered, bytes('000000090000004a0000000031415927')).toString('hex')).toBe(
      '82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc',
    );
  });
});

describe('credentials', () => {
  test('any text comes back for the same row and key, by this code, by libsodium and by the book', async () => {
    await sodium.ready;
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }),
        fc.string({ unit: 'grapheme', minLength: 1 }),
        (text, row) => {
          const identity = `kg_api.system_api_keys/${row}`;
          const { ciphertext, keyId } = sealCredential(key, row, new Secret(text));
          expect(keyId).toBe(keyIdOf(key));
          expect(openCredential(key, row, ciphertext)).toBe(text);
          expect(openByTheBook(key.reveal(), identity, Buffer.from(ciphertext))).toBe(text);
          const nonce = randomBytes(24).toString('hex');
          const theirs = { encryptionKey: key.reveal(), identity, plaintext: text, nonce, ciphertext: '' };
          expect(openCredential(key, row, bytes(sealWithSodium(theirs)))).toBe(text);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('no flipped bit opens, and the error names the row', () => {
    const { ciphertext } = sealCredential(key, 'openai', new Secret('sk-secret'));
    for (let bit = 0; bit < ciphertext.length * 8; bit++) {
      const altered = Buffer.from(ciphertext);
      altered[bit >> 3] = (altered[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(unreadable('openai', altered).message).toContain('"openai"');
    }
  });

  test('no shorter or longer one opens', () => {
    const { ciphertext } = sealCredential(key, 'openai', new Secret('sk-secret'));
    for (let length = 0; length < ciphertext.length; length++)
      expect(unreadable('openai', ciphertext.subarray(0, length)).row).toBe('openai');
    expect(unreadable('openai', Buffer.concat([ciphertext, Buffer.from([0])])).row).toBe('openai');
  });

  test('none opens in another row, or as a bridge, and the error names the row it was found in', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (row, other) => {
        fc.pre(row !== other);
        const { ciphertext } = sealCredential(key, row, new Secret('sk-secret'));
        expect(unreadable(other, ciphertext).row).toBe(other);
        expect(() => openBridge(key, ciphertext)).toThrow(CredentialUnreadable);
      }),
    );
    expect(unreadable('openai', sealBridge(key, new Secret('ff'.repeat(32)))).row).toBe('openai');
  });

  test('another key is told from altered bytes: both key ids are named', () => {
    const other = new Secret('ff'.repeat(32));
    const { ciphertext } = sealCredential(key, 'openai', new Secret('sk-secret'));
    const { message } = unreadable('openai', ciphertext, other);
    expect(message).toContain(keyIdOf(key));
    expect(message).toContain(keyIdOf(other));
  });

  test('the same text never gives the same bytes, and the bytes hold no text', () => {
    const seal = () => sealCredential(key, 'openai', new Secret('sk-secret'));
    const [first, second] = [seal(), seal()];
    expect(first.ciphertext).not.toEqual(second.ciphertext);
    expect(Buffer.from(first.ciphertext).includes('sk-secret')).toBe(false);
  });

  test('the format stays readable: a credential that version 0.1.0 sealed', () => {
    const sealed =
      '01d58ef408b4c8911722bca9856e9c70530bae30984358ea692711f582e08c3ce2909457d5d03672e35cf12c644c7d42277aaf8407dcea4687f1';
    expect(openCredential(key, 'openai', bytes(sealed))).toBe('sk-vector');
  });

  test('a key that is not 64 hexadecimal digits is refused without being repeated', () => {
    expect(() => keyIdOf(new Secret('too short'))).toThrow(InvalidEncryptionKey);
    expect(() => keyIdOf(new Secret('too short'))).not.toThrow(/too short/);
  });

  test('a fingerprint tells credentials apart, and is another one under another key', () => {
    const fingerprints = [
      credentialFingerprint(key, 'sk-one'),
      credentialFingerprint(key, new Secret('sk-one')),
      credentialFingerprint(key, 'sk-two'),
      credentialFingerprint(new Secret('ff'.repeat(32)), 'sk-one'),
    ];
    expect(new Set(fingerprints).size).toBe(3);
    for (const fingerprint of fingerprints) expect(fingerprint).toMatch(/^[0-9a-f]{16}$/);
  });
});

/** The error of a credential that must not open. */
function unreadable(row: string, ciphertext: Uint8Array, encryptionKey = key): CredentialUnreadable {
  try {
    openCredential(encryptionKey, row, ciphertext);
  } catch (error) {
    if (error instanceof CredentialUnreadable) return error;
    throw error;
  }
  throw new Error('it opened');
}
