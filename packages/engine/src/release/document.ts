import { createHash } from 'node:crypto';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import type { Problems, Read } from './shape.ts';

/** No release.json or channels.json is larger, in bytes. */
export const DOCUMENT_LIMIT = 1024 * 1024;
/** No file of signatures is larger, in bytes: room for some forty keys. */
export const SIGNATURE_LIMIT = 16 * 1024;

/** Names inside a source of releases; the same in a folder, beneath a URL and in a bundle. */
export const CHANNELS = 'channels.json';
export const releaseName = (version: string) => `${version}/release.json`;
export const signatureName = (name: string) => `${name}.minisig`;

/** SHA-256 in hexadecimal. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * Reads a document of `schemaVersion` 1. `check` finds what no single member shows; it runs only on a document whose members are right.
 * @throws OperatorError MANIFEST_TOO_NEW, MANIFEST_INVALID with every problem
 */
export function parseDocument<T extends { schemaVersion: number }>(
  bytes: Uint8Array,
  name: string,
  read: Read<T>,
  check: (document: T) => Problems,
): T {
  const value = parseJson(bytes, name);
  const version = (value as { schemaVersion?: unknown } | null)?.schemaVersion;
  if (Number.isSafeInteger(version) && Number(version) > 1)
    throw new OperatorError('MANIFEST_TOO_NEW', `${name} has schemaVersion ${version}, this engine reads 1`, {
      exitCode: EXIT.precondition,
      hint: 'use a newer engine',
    });
  return readShape(value, name, read, check);
}

/** A parsed document as what it should be. @throws OperatorError MANIFEST_INVALID with every problem */
export function readShape<T>(
  value: unknown,
  name: string,
  read: Read<T>,
  check: (document: T) => Problems,
): T {
  const problems: Problems = [];
  const document = read(value, '', problems);
  if (problems.length === 0) problems.push(...check(document));
  if (problems.length > 0) throw invalid(name, problems);
  return document;
}

/** @throws OperatorError MANIFEST_INVALID for what is larger than DOCUMENT_LIMIT, or no JSON in UTF-8 */
export function parseJson(bytes: Uint8Array, name: string): unknown {
  if (bytes.length > DOCUMENT_LIMIT) throw invalid(name, [`it is larger than ${DOCUMENT_LIMIT} bytes`]);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw invalid(name, [`it is not JSON: ${messageOf(error)}`]);
  }
}

/** As documents are written: two blanks, members in the order they were put, one line feed at the end. */
export function formatDocument(document: object): Buffer {
  return Buffer.from(`${JSON.stringify(document, null, 2)}\n`);
}

function invalid(name: string, problems: Problems): OperatorError {
  return new OperatorError('MANIFEST_INVALID', `${name} is not what it should be`, {
    exitCode: EXIT.precondition,
    details: problems,
    hint: 'nothing was changed; whoever publishes the releases must correct it (release lint finds this)',
  });
}
