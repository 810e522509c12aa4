import { OperatorError } from '../model/errors.ts';
import { type AvailableReport, reportAvailable } from '../release/available.ts';
import { lastChannels, openKept } from '../release/room.ts';
import { type InstalledRelease, readInstalled } from '../upgrade/record.ts';

/** What `GET /versions` answers; schema/json/console-versions.schema.json describes it. */
export interface ConsoleVersions {
  /** The engine's version, which is the console's. */
  engine: string;
  /** What an upgrade or rollback recorded last; null: there was none yet. */
  installed: InstalledRelease | null;
  /** As `versions --json` gives it; null where it can't be read. */
  available: AvailableReport | null;
  /** Why something could not be read, or be believed. */
  problem: { code: string; message: string } | null;
}

/** From the folder `releases/` of the state directory alone. */
export async function consoleVersions(
  stateDirectory: string,
  engine: string,
  now: () => Date,
): Promise<ConsoleVersions> {
  let installed: InstalledRelease | null = null;
  try {
    installed = await readInstalled(stateDirectory);
    const room = await openKept(stateDirectory, now);
    const about = { installed: installed?.version ?? engine, head: installed?.head ?? null };
    const available = await reportAvailable(room, await lastChannels(room), about);
    return { engine, installed, available, problem: null };
  } catch (error) {
    return { engine, installed, available: null, problem: problemOf(error) };
  }
}

/** @throws what is our bug */
function problemOf(error: unknown): { code: string; message: string } {
  if (error instanceof OperatorError) return { code: error.code, message: error.message };
  if (error instanceof SyntaxError) return { code: 'STATE_DAMAGED', message: error.message };
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) throw error;
  return { code: 'STATE_UNREADABLE', message };
}
