import type { StepOf } from '../model/plan.ts';
import type { RunContext } from '../run/context.ts';
import type { Report } from '../run/execute.ts';

export async function handOver(_s: StepOf<'hand-over'>, _c: RunContext, _r: Report): Promise<void> {
  throw new Error('contract');
}

export async function replaceOperator(_s: StepOf<'replace-operator'>, _c: RunContext, _r: Report): Promise<void> {
  throw new Error('contract');
}
