import { EXIT, OperatorError } from '../model/errors.ts';
import { parseSums, SUMS } from './assets.ts';
import { parseChannels } from './channels.ts';
import { CHANNELS } from './document.ts';
import { parseRelease } from './manifest.ts';
import { FormatError, parseSecretKey, type SecretKey, signBytes } from './minisign.ts';
import { PROVENANCE, parseProvenance } from './provenance.ts';
import { readInput } from './published.ts';

/** A secret key of minisign's from a file. Nothing of it is ever told. @throws OperatorError SIGNING_KEY_INVALID, FILE_UNREADABLE */
export async function readSigningKey(path: string): Promise<SecretKey> {
  const bytes = await readInput(path);
  try {
    return parseSecretKey(bytes.toString('latin1'));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new OperatorError('SIGNING_KEY_INVALID', `${path} is no key to sign with: ${error.message}`, {
      exitCode: EXIT.precondition,
      hint: 'minisign -G -W makes one; its .pub belongs into packages/engine/src/release/keys.ts',
    });
  }
}

/**
 * The text of the `.minisig` file of a document: a signature by each key, in their order. Only what installations will be able to read
 * is signed. The same input gives the same text.
 * @throws OperatorError MANIFEST_INVALID, MANIFEST_TOO_NEW, SUMS_INVALID
 */
export function signDocument(name: string, bytes: Uint8Array, keys: readonly SecretKey[]): string {
  const comment =
    name === CHANNELS
      ? `kg-operator channels ${parseChannels(bytes).counter}`
      : name === SUMS
        ? `kg-operator assets ${parseSums(bytes).version}`
        : name === PROVENANCE
          ? `kg-operator provenance ${parseProvenance(bytes).version}`
          : `kg-operator release ${parseRelease(bytes, name).version}`;
  return keys.map((key) => signBytes(key, bytes, comment)).join('');
}
