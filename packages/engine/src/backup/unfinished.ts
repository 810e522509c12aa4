import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Two databases that a restore exchanges: the file `exchange.json` of the state folder, until the platform runs again. */
export interface UnfinishedExchange {
  /** What becomes the live database, and how the one that was live is called then. */
  incoming: string;
  outgoing: string;
}

const NAME = 'exchange.json';

/** Notes it before, so that a kill leaves a trace; the caller holds the lock. */
export async function noteExchange(
  stateDirectory: string,
  { incoming, outgoing }: UnfinishedExchange,
): Promise<void> {
  await mkdir(stateDirectory, { recursive: true, mode: 0o700 });
  await writeFile(join(stateDirectory, NAME), `${JSON.stringify({ incoming, outgoing })}\n`, { mode: 0o600 });
}

/** The platform runs on one of the two. What another run has noted stays. */
export async function forgetExchange(stateDirectory: string, database: string): Promise<void> {
  const noted = await unfinishedExchange(stateDirectory);
  if (noted && noted.incoming !== database && noted.outgoing !== database) return;
  await rm(join(stateDirectory, NAME), { force: true });
}

/** What a killed restore, or one that ended with RECOVERY_NEEDED, has left; null if none did. */
export async function unfinishedExchange(stateDirectory: string): Promise<UnfinishedExchange | null> {
  try {
    return JSON.parse(await readFile(join(stateDirectory, NAME), 'utf8')) as UnfinishedExchange;
  } catch (error) {
    // Not there; or written half when the machine went down, before anything was exchanged.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return null;
    throw error;
  }
}
