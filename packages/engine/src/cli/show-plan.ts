import { describeStep, type Plan } from '../model/plan.ts';

/** A plan for a person: numbered steps, then warnings. */
export function showPlan(plan: Plan): string {
  if (plan.steps.length === 0) return `To ${plan.goal}: nothing to do.`;
  const steps = plan.steps.map((step, index) => `${String(index + 1).padStart(3)}. ${describeStep(step)}`);
  return [`To ${plan.goal}:`, ...steps, ...plan.warnings.map((warning) => `Warning: ${warning}`)].join('\n');
}
