import type { StepOf } from '../model/plan.ts';
import type { RunContext } from '../run/context.ts';
import type { Report } from '../run/execute.ts';

export async function healthGate(
  _step: StepOf<'health-gate'>,
  _context: RunContext,
  _report: Report,
): Promise<void> {
  throw new Error('contract');
}
