import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { type Channels, parseChannels } from './channels.ts';
import { CHANNELS, releaseName } from './document.ts';
import { parseRelease, type ReleaseManifest } from './manifest.ts';
import { isVersion } from './version.ts';

/** A folder as it is published: channels.json and one folder per version. */
export interface Published {
  /** Null: there is none yet. */
  channels: Channels | null;
  releases: PublishedRelease[];
}

export interface PublishedRelease {
  manifest: ReleaseManifest;
  bytes: Buffer;
}

/**
 * Reads a folder of releases, signatures aside: this is for those who publish, before they sign.
 * @throws OperatorError FILE_UNREADABLE, MANIFEST_INVALID, MANIFEST_TOO_NEW
 */
export async function readPublished(folder: string): Promise<Published> {
  const names = await readdir(folder).catch((error) => {
    throw unreadable(folder, error);
  });
  const releases: PublishedRelease[] = [];
  for (const version of names.filter(isVersion)) {
    const path = join(folder, releaseName(version));
    const bytes = await readInput(path);
    releases.push({ manifest: parseRelease(bytes, releaseName(version)), bytes });
  }
  const channels = names.includes(CHANNELS) ? parseChannels(await readInput(join(folder, CHANNELS))) : null;
  return { channels, releases };
}

/** A file that a person named. @throws OperatorError FILE_UNREADABLE */
export async function readInput(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): OperatorError {
  return new OperatorError('FILE_UNREADABLE', `${path} can't be read: ${messageOf(error)}`, {
    exitCode: EXIT.usage,
    hint: 'check the path',
    cause: error,
  });
}
