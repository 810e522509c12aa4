import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, OperatorError } from '../model/errors.ts';
import { OPERATOR_SERVICES } from '../plan/upgrade.ts';
import { replaceFile } from '../release/store.ts';

/** Which images run, by service. References are by digest, or the id of an image that came in a bundle. */
export interface ReleasePins {
  /** The release they belong to; null: what was there before the first upgrade. */
  version: string | null;
  images: Record<string, string>;
}

/** In the state directory; Compose reads it as one of its env files, so that nothing else can say which image runs. */
export const PINS = 'release.env';

/** The variable of docker-compose.ghcr.yml that names a service's image. */
export function pinVariable(service: string): string {
  return `IMAGE_${service.toUpperCase().replaceAll('-', '_')}`;
}

/** The service under whose name the image of a service is pinned: those of the operator's image go with the operator. */
export function pinnedAs(service: string): string {
  return OPERATOR_SERVICES.includes(service) ? 'operator' : service;
}

/** Null: nothing is pinned. @throws OperatorError STATE_DAMAGED */
export async function readPins(stateDirectory: string): Promise<ReleasePins | null> {
  const path = join(stateDirectory, PINS);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  return parsePins(text, path);
}

/** @throws OperatorError STATE_DAMAGED */
export function parsePins(text: string, path = PINS): ReleasePins {
  const pins: ReleasePins = { version: null, images: {} };
  for (const [index, line] of text.split('\n').entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const [, name, value] = /^([A-Z][A-Z0-9_]*)=([A-Za-z0-9_./:@-]+)$/.exec(line) ?? [];
    if (name === 'RELEASE_VERSION' && value) pins.version = value;
    else if (name?.startsWith('IMAGE_') && value)
      pins.images[name.slice('IMAGE_'.length).toLowerCase().replaceAll('_', '-')] = value;
    else
      throw new OperatorError('STATE_DAMAGED', `${path}:${index + 1} is not what upgrade writes there`, {
        exitCode: EXIT.precondition,
        hint: 'nothing was changed; ./operator.sh history shows the images of the last release, to correct the line',
      });
  }
  return pins;
}

export function formatPins({ version, images }: ReleasePins): string {
  const lines = [
    '# Which images run, by digest. Written by upgrade and rollback; ./operator.sh start makes it so again.',
    ...(version === null ? [] : [`RELEASE_VERSION=${version}`]),
    ...Object.entries(images)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([service, image]) => `${pinVariable(service)}=${image}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** @throws OperatorError DISK_FULL, STATE_UNWRITABLE */
export async function writePins(stateDirectory: string, pins: ReleasePins): Promise<void> {
  await replaceFile(join(stateDirectory, PINS), Buffer.from(formatPins(pins)));
}
