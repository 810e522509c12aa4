import type { Hook, StepOf } from '../model/plan.ts';
import type { RunContext } from '../run/context.ts';
import type { Report } from '../run/execute.ts';

export async function runHook(_step: StepOf<'run-hook'>, _context: RunContext, _report: Report): Promise<void> {
  throw new Error('contract');
}

export async function presentHooks(_root: string): Promise<Hook[]> {
  return [];
}
