import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Clock, systemClock } from '../adapters/clock.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { bundleSource } from './bundle-source.ts';
import { httpsSource } from './https-source.ts';
import type { ReleaseRoom } from './room.ts';
import { directorySource, type ReleaseSource } from './source.ts';

export interface SourceOptions {
  env?: NodeJS.ProcessEnv;
  clock?: Clock;
  signal?: AbortSignal;
}

/** The source that a person means: `https://…`, a folder, or a bundle file. @throws OperatorError SOURCE_UNREACHABLE, SOURCE_INVALID */
export async function openSource(address: string, options: SourceOptions = {}): Promise<ReleaseSource> {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(address))
    return httpsSource(address, { clock: systemClock, ...options });
  const path = resolve(address);
  try {
    return (await stat(path)).isDirectory() ? directorySource(path) : bundleSource(path);
  } catch (error) {
    throw new OperatorError('SOURCE_UNREACHABLE', `${path} can't be read: ${messageOf(error)}`, {
      exitCode: EXIT.precondition,
      hint: 'name a URL that begins with https://, a folder, or a bundle; the operator sees only files beneath the installation',
      cause: error,
    });
  }
}

/** `KG_RELEASES`, or where the last list came from. @throws OperatorError SOURCE_MISSING */
export async function usualSource(room: ReleaseRoom, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const address = env.KG_RELEASES || (await room.store.readLast())?.source;
  if (address) return address;
  throw new OperatorError('SOURCE_MISSING', 'nobody said yet where releases come from', {
    exitCode: EXIT.usage,
    hint: 'name it: ./operator.sh versions --from https://…, or a folder, or a bundle; afterwards it is remembered',
  });
}
