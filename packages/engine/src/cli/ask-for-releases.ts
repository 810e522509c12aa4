import type { Observation } from '../model/observation.ts';
import { type AvailableReport, installedVersion, refresh, reportAvailable } from '../release/available.ts';
import { openSource, usualSource } from '../release/open-source.ts';
import { lastChannels, openRoom } from '../release/room.ts';
import type { RunContext } from '../run/context.ts';

interface Asked {
  /** The schema's. */
  head: string | null;
  refresh: boolean;
  from: string | undefined;
}

/** What is known of releases, after fetching the list anew where that was asked for. @throws OperatorError as fetchChannels, lastChannels */
export async function askForReleases(
  context: RunContext,
  observed: Observation,
  asked: Asked,
): Promise<{ report: AvailableReport; warnings: string[] }> {
  const { settings, clock, engineVersion, signal } = context;
  const room = openRoom(settings, () => clock.date());
  const installed = installedVersion(observed, engineVersion);
  const about = { installed, head: asked.head };
  if (!asked.refresh && asked.from === undefined)
    return { report: await reportAvailable(room, await lastChannels(room), about), warnings: [] };
  const source = await openSource(asked.from ?? (await usualSource(room)), { clock, signal });
  const { known, warnings } = await refresh(room, source, installed);
  return { report: await reportAvailable(room, known, about), warnings };
}
