import { createDecipheriv, hkdfSync } from 'node:crypto';

/*
 * docs/credential-format.md put into code a second time, on Node's ChaCha20-Poly1305 and without the code under test: what
 * another language would have to write.
 */

/** The text of a credential. @throws when it does not open. */
export function openByTheBook(encryptionKey: string, identity: string, ciphertext: Buffer): string {
  const keyId = hkdf(encryptionKey, 'kg-operator/key-id/v1', 8);
  const header = ciphertext.subarray(0, 9);
  if (ciphertext.length < 49) throw new Error('too short');
  if (header[0] !== 1) throw new Error('version');
  if (!header.subarray(1).equals(keyId)) throw new Error('another key');
  const nonce = ciphertext.subarray(9, 33);
  const sealed = ciphertext.subarray(33, -16);

  // draft-irtf-cfrg-xchacha-03, 2.3: ChaCha20-Poly1305 under the subkey that HChaCha20 makes of the nonce's first 16 bytes.
  const subkey = hchacha20(hkdf(encryptionKey, 'kg-operator/credentials/v1', 32), nonce.subarray(0, 16));
  const decipher = createDecipheriv(
    'chacha20-poly1305',
    subkey,
    Buffer.concat([Buffer.alloc(4), nonce.subarray(16)]),
    { authTagLength: 16 },
  );
  decipher.setAAD(Buffer.concat([header, Buffer.from(identity)]), { plaintextLength: sealed.length });
  decipher.setAuthTag(ciphertext.subarray(-16));
  return Buffer.concat([decipher.update(sealed), decipher.final()]).toString('utf8');
}

export function hkdf(encryptionKey: string, info: string, bytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', Buffer.from(encryptionKey, 'hex'), '', info, bytes));
}

/** draft-irtf-cfrg-xchacha-03, 2.2: twenty rounds of ChaCha over constants, key and nonce, without the addition at the end. */
export function hchacha20(key: Buffer, nonce: Buffer): Buffer {
  const bytes = Buffer.concat([Buffer.from('expand 32-byte k'), key, nonce]);
  const state = Uint32Array.from({ length: 16 }, (_, index) => bytes.readUInt32LE(index * 4));
  for (let round = 0; round < 10; round++) {
    for (const [a, b, c, d] of QUARTERS) {
      turn(a, b, d, 16);
      turn(c, d, b, 12);
      turn(a, b, d, 8);
      turn(c, d, b, 7);
    }
  }
  const subkey = Buffer.alloc(32);
  for (let index = 0; index < 4; index++) {
    subkey.writeUInt32LE(state[index] as number, index * 4);
    subkey.writeUInt32LE(state[12 + index] as number, 16 + index * 4);
  }
  return subkey;

  /** x += y; z = (z ^ x) <<< bits */
  function turn(x: number, y: number, z: number, bits: number): void {
    state[x] = (state[x] as number) + (state[y] as number);
    const word = (state[z] as number) ^ (state[x] as number);
    state[z] = (word << bits) | (word >>> (32 - bits));
  }
}

const QUARTERS = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
] as const;
