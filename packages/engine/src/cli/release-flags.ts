import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';

/**
 * A time that a person gave, to the second: ISO 8601, or else the seconds since 1970 in SOURCE_DATE_EPOCH
 * (https://reproducible-builds.org/specs/source-date-epoch/). The clock is not asked, or the same input would give other bytes.
 * @throws OperatorError TIME_MISSING, TIME_INVALID
 */
export function timeOf(
  flag: string,
  value: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
): string {
  const epoch = env.SOURCE_DATE_EPOCH;
  if (value === undefined && !epoch)
    throw new OperatorError('TIME_MISSING', `${flag} is missing, and so is SOURCE_DATE_EPOCH`, {
      exitCode: EXIT.usage,
      hint: `give a time, such as ${flag} 2026-11-23T12:00:00Z: the same input must give the same bytes`,
    });
  const time = value === undefined ? Number(epoch) * 1000 : Date.parse(value);
  if (Number.isNaN(new Date(time).getTime()))
    throw new OperatorError('TIME_INVALID', `${value ?? `SOURCE_DATE_EPOCH=${epoch}`} is no time`, {
      exitCode: EXIT.usage,
      hint: 'write it as 2026-11-23T12:00:00Z',
    });
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}

/** `NAME=VALUE`. @throws OperatorError USAGE */
export function pairOf(flag: string, text: string): [string, string] {
  const at = text.indexOf('=');
  if (at > 0 && at < text.length - 1) return [text.slice(0, at), text.slice(at + 1)];
  throw new OperatorError('USAGE', `${flag} ${text}: there is no NAME=VALUE`, {
    exitCode: EXIT.usage,
    hint: `write ${flag} NAME=VALUE`,
  });
}

/** Writes a file that is to be published, and with it its folder. `exclusive`: one that is there stays. @throws OperatorError */
export async function writeOutput(
  path: string,
  bytes: Uint8Array,
  { exclusive = false } = {},
): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(path, exclusive ? 'wx' : 'w');
    await file.writeFile(bytes).finally(() => file.close());
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
    throw new OperatorError(
      exists ? 'RELEASE_EXISTS' : 'FILE_UNWRITABLE',
      exists ? `${path} is there, and says something else` : `${path} can't be written: ${messageOf(error)}`,
      {
        exitCode: EXIT.precondition,
        hint: exists
          ? 'a release never changes: take another version, or remove it if it was never published'
          : 'check the path',
        cause: error,
      },
    );
  }
}
