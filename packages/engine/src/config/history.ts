import type { Tables } from '@kg-operator/config';
import type { Transaction } from 'kysely';

/** Who changes configuration, for `kg_api.config_history`. */
export interface Actor {
  /** A person's or program's name; `operator` where nobody said. */
  actor: string;
}

export interface Change {
  changed: boolean;
}

/** Records a change in the transaction that makes it. `detail` must never hold a secret value. */
export async function recordChange(
  trx: Transaction<Tables>,
  { actor }: Actor,
  action: 'create' | 'update' | 'activate',
  subject: string,
  detail: Record<string, unknown> = {},
): Promise<void> {
  await trx
    .insertInto('kg_api.config_history')
    .values({ actor, action, subject, detail: JSON.stringify(detail) })
    .execute();
}
