import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { forgetExchange, unfinishedExchange } from '../backup/unfinished.ts';
import { runsOf } from '../history/runs.ts';
import type { StepOf } from '../model/plan.ts';
import { replaceReadable } from '../release/store.ts';
import type { RunContext } from '../run/context.ts';
import { readPins, writePins } from './pins.ts';

/** What is installed, for those who see neither Docker nor the database: the console. */
export interface InstalledRelease {
  version: string;
  /** What was installed before it. */
  previous: string | null;
  /** Head of the schema. */
  head: string | null;
  /** ISO 8601. */
  at: string;
  images: Record<string, string>;
}

/** From now on Compose starts these services from these images; the others stay as they were. */
export function pinImages({ version, images }: StepOf<'pin-images'>, context: RunContext): Promise<void> {
  return pin(context.settings.stateDirectory, version, images);
}

export async function pin(
  stateDirectory: string,
  version: string,
  images: Record<string, string>,
): Promise<void> {
  const pins = await readPins(stateDirectory);
  await writePins(stateDirectory, { version, images: { ...pins?.images, ...images } });
}

/** Last of all: until then a release is being tried. */
export async function recordRelease(
  { version }: StepOf<'record-release'>,
  context: RunContext,
): Promise<void> {
  const { stateDirectory } = context.settings;
  const [pins, before, database] = await Promise.all([
    readPins(stateDirectory),
    readInstalled(stateDirectory),
    context.observeDatabase(),
  ]);
  const images = pins?.images ?? {};
  await writePins(stateDirectory, { version, images });
  const installed: InstalledRelease = {
    version,
    previous: before?.version === version ? before.previous : (before?.version ?? (await beganFrom(context))),
    head: database.reachable ? database.schema.head : null,
    at: context.clock.date().toISOString(),
    images,
  };
  const text = `${JSON.stringify(installed, null, 1)}\n`;
  await replaceReadable(stateDirectory, installedPath(stateDirectory), Buffer.from(text));
  const exchange = await unfinishedExchange(stateDirectory);
  if (exchange) await forgetExchange(stateDirectory, exchange.outgoing);
}

/** The first upgrade finds nothing recorded; what it began from is in the journal. */
async function beganFrom({ journal }: RunContext): Promise<string | null> {
  const last = runsOf(await journal.read()).findLast(({ change }) => change !== null);
  return last?.change?.from.version ?? null;
}

/** Null: none was recorded yet. */
export async function readInstalled(stateDirectory: string): Promise<InstalledRelease | null> {
  try {
    return JSON.parse(await readFile(installedPath(stateDirectory), 'utf8')) as InstalledRelease;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function installedPath(stateDirectory: string): string {
  return join(stateDirectory, 'releases', 'installed.json');
}
