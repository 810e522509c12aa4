import { readFileSync } from 'node:fs';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { FormatError, formatPublicKey, type PublicKey, parsePublicKey } from './minisign.ts';

/**
 * The public keys that releases are signed with, as lines of minisign's `.pub` files. To rotate: add the new one here, publish releases
 * signed with both, and take the old one out when no supported version knows only the old one.
 */
const RELEASE_KEYS: readonly string[] = [];

/** Ids of keys that are not trusted any more, whatever they sign. They stay here for good. */
const REVOKED_KEYS: readonly string[] = [];

export interface TrustedKeys {
  trusted: readonly PublicKey[];
  /** Ids. */
  revoked: readonly string[];
}

/**
 * The keys this engine trusts: its own, or those of the file that `KG_RELEASE_KEYS` names, for releases that are published by somebody
 * else. In the file stand minisign's public keys, one per line, and `revoked ID`; other lines are comments.
 * @throws OperatorError RELEASE_KEYS_INVALID
 */
export function readTrustedKeys(env: NodeJS.ProcessEnv = process.env): TrustedKeys {
  const path = env.KG_RELEASE_KEYS;
  if (!path) return { trusted: RELEASE_KEYS.map(parsePublicKey), revoked: REVOKED_KEYS };
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw unusable(path, messageOf(error), error);
  }
  return parseTrustedKeys(text, path);
}

/** @throws OperatorError RELEASE_KEYS_INVALID */
export function parseTrustedKeys(text: string, name: string): TrustedKeys {
  const keys: { trusted: PublicKey[]; revoked: string[] } = { trusted: [], revoked: [] };
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const [, revoked] = /^revoked ([0-9A-F]{16})$/.exec(line) ?? [];
    if (revoked) keys.revoked.push(revoked);
    else if (/^revoked\b/.test(line))
      throw unusable(`${name}:${index + 1}`, 'after "revoked" stands the id of a key, 16 digits');
    else if (line.startsWith('RW')) keys.trusted.push(parseLine(line, `${name}:${index + 1}`));
  }
  if (keys.trusted.length === 0) throw unusable(name, 'there is no public key in it');
  return keys;
}

/** What parseTrustedKeys() reads. */
export function formatTrustedKeys({ trusted, revoked }: TrustedKeys): string {
  return [...trusted.map(formatPublicKey), ...revoked.map((id) => `revoked ${id}`), ''].join('\n');
}

/** Keys that another process trusted, and wrote down; those that this engine knows to be revoked are not trusted any more. */
export function keptKeys(text: string, name: string): TrustedKeys {
  const { trusted, revoked } = parseTrustedKeys(text, name);
  return { trusted, revoked: [...revoked, ...REVOKED_KEYS] };
}

function parseLine(line: string, where: string): PublicKey {
  try {
    return parsePublicKey(line);
  } catch (error) {
    if (error instanceof FormatError) throw unusable(where, error.message, error);
    throw error;
  }
}

function unusable(where: string, why: string, cause?: unknown): OperatorError {
  return new OperatorError('RELEASE_KEYS_INVALID', `${where}: ${why}`, {
    exitCode: EXIT.precondition,
    hint: 'KG_RELEASE_KEYS names a file with public keys of minisign; without it the keys of the engine count',
    cause,
  });
}
