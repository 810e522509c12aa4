import { EXIT, OperatorError } from '../model/errors.ts';
import { DOCUMENT_LIMIT, SIGNATURE_LIMIT, sha256, signatureName } from './document.ts';
import type { TrustedKeys } from './keys.ts';
import { FormatError, parseSignatures, type Signature } from './minisign.ts';
import type { ReleaseSource } from './source.ts';
import type { SignedBytes } from './store.ts';

/**
 * Checks a file against its detached signatures. One by a trusted key that is not revoked suffices, whatever else is there.
 * Nothing of the file is parsed before.
 * @returns ids of the trusted keys that signed it
 * @throws OperatorError SIGNATURE_INVALID with what is wrong with each signature
 */
export function verifySignatures(
  name: string,
  bytes: Uint8Array,
  signatureFile: Uint8Array,
  keys: TrustedKeys,
): string[] {
  const { good, problems } = judgeAll(name, bytes, signatureFile, keys);
  if (good.length === 0) throw invalid(name, problems, keys);
  return good;
}

/** Whether verifySignatures() would return. */
export function isSigned(
  name: string,
  bytes: Uint8Array,
  signatureFile: Uint8Array,
  keys: TrustedKeys,
): boolean {
  return judgeAll(name, bytes, signatureFile, keys).good.length > 0;
}

function judgeAll(
  name: string,
  bytes: Uint8Array,
  signatureFile: Uint8Array,
  keys: TrustedKeys,
): { good: string[]; problems: string[] } {
  let signatures: Signature[];
  try {
    signatures = parseSignatures(Buffer.from(signatureFile).toString('utf8'));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { good: [], problems: [`${signatureName(name)} can't be read: ${error.message}`] };
  }
  const verdicts = signatures.map((signature) => judge(signature, bytes, keys));
  return {
    good: [...new Set(verdicts.flatMap(({ keyId, problem }) => (problem === null ? [keyId] : [])))],
    problems: verdicts.flatMap(({ keyId, problem }) =>
      problem === null ? [] : [`${signatureName(name)}: signature of key ${keyId}: ${problem}`],
    ),
  };
}

function judge(
  signature: Signature,
  bytes: Uint8Array,
  { trusted, revoked }: TrustedKeys,
): { keyId: string; problem: string | null } {
  const { keyId } = signature;
  const key = trusted.find(({ id }) => id === keyId);
  const problem = revoked.includes(keyId)
    ? 'the key was revoked'
    : !key
      ? 'this engine does not know the key'
      : signature.isMadeBy(key, bytes)
        ? null
        : 'the file, or the comment of the signature, is not what was signed';
  return { keyId, problem };
}

function invalid(name: string, details: string[], { trusted, revoked }: TrustedKeys): OperatorError {
  const ids = trusted.map(({ id }) => id).filter((id) => !revoked.includes(id));
  return new OperatorError('SIGNATURE_INVALID', `${name} is not signed by a key that this engine trusts`, {
    exitCode: EXIT.precondition,
    details: [...details, ids.length > 0 ? `trusted: ${ids.join(', ')}` : 'this engine trusts no key'],
    hint: 'nothing was changed and nothing pulled: fetch it again from where it is published; if the keys were renewed, use a newer engine',
  });
}

/** @throws OperatorError MANIFEST_MISMATCH where the bytes are not those that channels.json lists */
export function requireSum(name: string, bytes: Uint8Array, expected: string): void {
  const actual = sha256(bytes);
  if (actual === expected) return;
  throw new OperatorError('MANIFEST_MISMATCH', `${name} is not the one that channels.json lists`, {
    exitCode: EXIT.precondition,
    details: [`expected SHA-256 ${expected}`, `actual   SHA-256 ${actual}`],
    hint: 'nothing was changed: fetch it again; a mirror may hold files of different days',
  });
}

/** A document and its signatures, as a source gives them: nothing is checked yet. @throws OperatorError as ReleaseSource.read */
export async function readSigned(source: ReleaseSource, name: string): Promise<SignedBytes> {
  // The signatures first: without them the rest need not be fetched.
  const signatures = await source.read(signatureName(name), SIGNATURE_LIMIT);
  return { signatures, bytes: await source.read(name, DOCUMENT_LIMIT) };
}
