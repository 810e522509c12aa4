import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

/**
 * The format of minisign: https://jedisct1.github.io/minisign/#signature-format. Signatures are of the prehashed kind (`ED`, Ed25519 of
 * the file's BLAKE2b-512), the tool's default since 0.10. Several of them may follow each other in one file; the stock tool looks at the
 * first.
 */
export interface PublicKey {
  /** As minisign shows it: 16 upper-case hexadecimal digits. */
  id: string;
  key: KeyObject;
}

export interface SecretKey extends PublicKey {
  secret: KeyObject;
}

export interface Signature {
  /** Of the key it says it was made with. */
  keyId: string;
  trustedComment: string;
  /** Whether it was made with this key, for these bytes and this comment. */
  isMadeBy(key: PublicKey, bytes: Uint8Array): boolean;
}

/** A text that is not what minisign writes; the message says how, and never repeats the text. */
export class FormatError extends Error {}

/** Base64 of `Ed`, the key's id and 32 bytes. @throws FormatError */
export function parsePublicKey(base64: string): PublicKey {
  const bytes = decode(base64, 42, 'a public key');
  if (bytes.toString('latin1', 0, 2) !== 'Ed') throw new FormatError('it is no Ed25519 public key');
  return { id: idOf(bytes.subarray(2, 10)), key: publicKeyOf(bytes.subarray(10)) };
}

/** What parsePublicKey() reads. */
export function formatPublicKey({ id, key }: Pick<PublicKey, 'id' | 'key'>): string {
  return Buffer.concat([Buffer.from('Ed'), idBytes(id), rawOf(key)]).toString('base64');
}

/**
 * A secret key as `minisign -G -W` writes it, without a password. Its checksum is not looked at (the stock tool leaves it zero there):
 * instead its two halves must belong together.
 * @throws FormatError
 */
export function parseSecretKey(file: string): SecretKey {
  const [comment = '', line = ''] = file.split(/\r?\n/);
  if (!comment.startsWith('untrusted comment: ')) throw new FormatError('it does not begin with a comment');
  const bytes = decode(line, 158, 'a secret key');
  const algorithms = bytes.toString('latin1', 0, 6);
  if (algorithms === 'EdScB2')
    throw new FormatError(
      'it is protected by a password: keep one without for the pipeline (minisign -C -W)',
    );
  if (algorithms !== 'Ed\0\0B2') throw new FormatError('it is of an unknown kind');
  const [seed, raw] = [bytes.subarray(62, 94), bytes.subarray(94, 126)];
  // RFC 8410, section 7: a PKCS #8 structure with the seed at its end.
  const secret = createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
    format: 'der',
    type: 'pkcs8',
  });
  const key = createPublicKey(secret);
  if (!rawOf(key).equals(raw)) throw new FormatError('its secret and public halves do not belong together');
  return { id: idOf(bytes.subarray(54, 62)), key, secret };
}

/** The text of a file with one signature. The same key, bytes and comment give the same text. */
export function signBytes({ id, secret }: SecretKey, bytes: Uint8Array, trustedComment: string): string {
  const signature = sign(null, prehash(bytes), secret);
  const global = sign(null, Buffer.concat([signature, Buffer.from(trustedComment)]), secret);
  return [
    `untrusted comment: signature from key ${id}`,
    Buffer.concat([Buffer.from('ED'), idBytes(id), signature]).toString('base64'),
    `trusted comment: ${trustedComment}`,
    global.toString('base64'),
    '',
  ].join('\n');
}

/** All signatures of a file, in order; at least one. @throws FormatError */
export function parseSignatures(file: string): Signature[] {
  const lines = file.split(/\r?\n/);
  while (lines.at(-1) === '') lines.pop();
  if (lines.length === 0) throw new FormatError('it is empty');
  return Array.from({ length: Math.ceil(lines.length / 4) }, (_, index) =>
    parseSignature(lines.slice(index * 4, index * 4 + 4)),
  );
}

function parseSignature([untrusted = '', line = '', trusted = '', last = '']: string[]): Signature {
  if (!untrusted.startsWith('untrusted comment: ')) throw new FormatError('a comment is missing');
  if (!trusted.startsWith('trusted comment: ')) throw new FormatError('a trusted comment is missing');
  const bytes = decode(line, 74, 'a signature');
  if (bytes.toString('latin1', 0, 2) !== 'ED')
    throw new FormatError('it is not prehashed: sign without -l, with minisign 0.10 or newer');
  const signature = bytes.subarray(10);
  const global = decode(last, 64, 'a global signature');
  const trustedComment = trusted.slice('trusted comment: '.length);
  return {
    keyId: idOf(bytes.subarray(2, 10)),
    trustedComment,
    isMadeBy: ({ key }, document) =>
      verify(null, prehash(document), key, signature) &&
      verify(null, Buffer.concat([signature, Buffer.from(trustedComment)]), key, global),
  };
}

function prehash(bytes: Uint8Array): Buffer {
  return createHash('blake2b512').update(bytes).digest();
}

function decode(base64: string, length: number, what: string): Buffer {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length !== length || bytes.toString('base64') !== base64)
    throw new FormatError(`a line is not ${what} in base64`);
  return bytes;
}

/** RFC 8410, section 4: the 32 bytes are the end of a SubjectPublicKeyInfo. */
function publicKeyOf(raw: Uint8Array): KeyObject {
  return createPublicKey({
    key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]),
    format: 'der',
    type: 'spki',
  });
}

function rawOf(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' }).subarray(-32);
}

/** Eight bytes, little-endian, as one number. */
function idOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).reverse().toString('hex').toUpperCase();
}

function idBytes(id: string): Buffer {
  return Buffer.from(id, 'hex').reverse();
}
