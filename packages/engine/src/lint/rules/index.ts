import type { Rule } from '../rule.ts';
import { ageRules } from './age.ts';
import { compatibilityRules } from './compatibility.ts';
import { constraintRules } from './constraints.ts';
import { lockRules } from './locks.ts';
import { nameRules } from './names.ts';
import { transactionRules } from './transactions.ts';
import { typeRules } from './types.ts';

/** Every rule, in the order of docs/migrations.md. */
export const RULES: readonly Rule[] = [
  ...nameRules,
  ...transactionRules,
  ...compatibilityRules,
  ...lockRules,
  ...constraintRules,
  ...ageRules,
  ...typeRules,
];
