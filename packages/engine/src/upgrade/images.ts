import type { StepOf } from '../model/plan.ts';
import type { RunContext } from '../run/context.ts';
import type { Report } from '../run/execute.ts';

export async function pullImages(_s: StepOf<'pull-images'>, _c: RunContext, _r: Report): Promise<void> {
  throw new Error('contract');
}

export async function pruneImages(_s: StepOf<'prune-images'>, _c: RunContext, _r: Report): Promise<void> {
  throw new Error('contract');
}
