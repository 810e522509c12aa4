import { FOLLOW, operationStatus } from '../checks/operation.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { RunContext } from './context.ts';
import { observeChange } from './observe.ts';

/**
 * For commands that must not change what an upgrade or rollback has half done. One that failed for good stops nothing: what mends it is
 * among those commands.
 * @throws OperatorError LOCKED (exit 5) while one runs, OPERATION_UNFINISHED (exit 3) where one was interrupted
 */
export async function requireNoUnfinishedChange(context: RunContext): Promise<void> {
  if (context.settings.mode !== 'containers') return;
  const operation = operationStatus(await observeChange(context));
  if (!operation || operation.state === 'recovery-needed') return;
  const { goal, step, of, title, run, kind } = operation;
  const at = `step ${step} of ${of}${title === null ? '' : `, ${title}`}`;
  if (operation.state === 'running')
    throw new OperatorError('LOCKED', `"${goal}" is running: ${at}`, {
      exitCode: EXIT.locked,
      hint: `${FOLLOW} follows it`,
    });
  throw new OperatorError('OPERATION_UNFINISHED', `"${goal}" was interrupted at ${at}`, {
    exitCode: EXIT.precondition,
    details: [`run ${run}; ./operator.sh history show ${run.slice(0, 8)} tells more`],
    hint:
      kind === 'upgrade'
        ? './operator.sh upgrade goes on with it, ./operator.sh rollback goes back'
        : './operator.sh rollback goes on with it',
  });
}
