import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';

/**
 * Where releases come from. The same names everywhere: `channels.json`, `VERSION/release.json`, and beside each its `.minisig`.
 * A source is not trusted: what it gives is believed only for its signature.
 */
export interface ReleaseSource {
  /** For people, and to find it again: a URL or an absolute path. */
  readonly address: string;
  /**
   * A whole file of at most `limit` bytes.
   * @throws OperatorError SOURCE_FILE_MISSING, SOURCE_FILE_TOO_LARGE, SOURCE_UNREACHABLE (after retries), BUNDLE_INVALID
   */
  read(name: string, limit: number): Promise<Buffer>;
}

/** A folder, for example a mirror or a mounted disk. */
export function directorySource(folder: string): ReleaseSource {
  return {
    address: folder,
    async read(name, limit) {
      try {
        const file = await open(join(folder, name));
        try {
          if ((await file.stat()).size > limit) throw tooLarge(name, folder, limit);
          return await file.readFile();
        } finally {
          await file.close();
        }
      } catch (error) {
        if (error instanceof OperatorError) throw error;
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw missing(name, folder);
        throw new OperatorError('SOURCE_UNREACHABLE', `${join(folder, name)}: ${messageOf(error)}`, {
          exitCode: EXIT.precondition,
          cause: error,
        });
      }
    },
  };
}

export function missing(name: string, address: string): OperatorError {
  return new OperatorError('SOURCE_FILE_MISSING', `there is no ${name} in ${address}`, {
    exitCode: EXIT.precondition,
    hint: 'is that where releases are published? It holds channels.json, VERSION/release.json, and their .minisig files',
  });
}

export function tooLarge(name: string, address: string, limit: number): OperatorError {
  return new OperatorError('SOURCE_FILE_TOO_LARGE', `${name} of ${address} is larger than ${limit} bytes`, {
    exitCode: EXIT.precondition,
    hint: 'nothing of it was used; no such file is that large',
  });
}
