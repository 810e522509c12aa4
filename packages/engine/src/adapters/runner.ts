import type { Settings } from '../model/settings.ts';

/** The container in which an upgrade or rollback runs: it outlives the terminal, the operator container and, by a hand-over, the engine. */
export interface Runner {
  /** The image that this process runs in, if it is a runner. */
  readonly image: string | null;
  /** Starts a runner from an image that is here, to go on with a run. @throws OperatorError LOCKED where there is one already */
  start(image: string, run: string): Promise<void>;
  /** The run that a runner is at. */
  current(): Promise<{ run: string; since: string } | null>;
}

export function dockerRunner(_settings: Settings, _env: NodeJS.ProcessEnv): Runner {
  return {} as Runner;
}
