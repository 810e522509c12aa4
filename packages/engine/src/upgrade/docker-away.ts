import { messageOf, OperatorError } from '../model/errors.ts';
import type { RunContext } from '../run/context.ts';

// A daemon that is upgraded by the host's package manager is back in seconds; one that was stopped by a person, when they say so.
const PATIENCE_MS = 600_000;
const POLL_MS = 2000;

/** Docker was not there, or went while something was asked of it. */
export function isDockersFault(error: unknown): boolean {
  if (error instanceof OperatorError && error.code === 'DOCKER_UNREACHABLE') return true;
  const text =
    error instanceof OperatorError ? [error.message, ...error.details].join('\n') : messageOf(error);
  return /Cannot connect to the Docker daemon|error during connect|docker\.sock: (EOF|connect)|ECONNREFUSED.*docker\.sock|socket hang up/i.test(
    text,
  );
}

/** Waits until Docker answers; false where it does not in ten minutes. */
export async function dockerAnswers(context: RunContext, report: (line: string) => void): Promise<boolean> {
  const { runtime, settings, clock, signal } = context;
  const deadline = clock.now() + PATIENCE_MS;
  for (;;) {
    try {
      await runtime.listContainers(settings.project);
      return true;
    } catch (error) {
      if (signal.aborted || clock.now() > deadline) return false;
      report(`waiting for Docker: ${messageOf(error)}`);
      await clock.sleep(POLL_MS);
    }
  }
}
