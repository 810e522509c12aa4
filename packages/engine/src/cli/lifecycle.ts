import { EXIT, OperatorError } from '../model/errors.ts';
import type { Observation } from '../model/observation.ts';
import { notUp, type StartGoal } from '../plan/start.ts';

/** The second observation: success is that the services are seen up, not that the last step returned. @throws OperatorError UNHEALTHY */
export function assertStarted(observed: Observation, goal: StartGoal): void {
  const missing = notUp(observed, goal);
  if (missing.length === 0) return;
  throw new OperatorError(
    'UNHEALTHY',
    `after starting, ${missing.map(({ name }) => name).join(', ')} ${missing.length === 1 ? 'is' : 'are'} not up`,
    {
      exitCode: EXIT.unhealthy,
      hint: './operator.sh status',
    },
  );
}
