import type { Tables } from '@kg-operator/config';
import { type Kysely, sql } from 'kysely';

/** What one transaction changed, newest first in lists. */
export interface RecordedChange {
  /** Null in rows of version 0.1.0, which are changes by themselves. */
  id: string | null;
  at: Date;
  actor: string;
  entries: ChangeEntry[];
}

export interface ChangeEntry {
  topic: string | null;
  action: string;
  subject: string;
  /** Null: it was not there. Never a secret, but its fingerprint. */
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
}

/** The last `limit` changes, of one topic if that is named; of a change that touched several topics only the entries of this one. */
export async function readChanges(
  db: Kysely<Tables>,
  { limit, topic }: { limit: number; topic?: string | undefined },
): Promise<RecordedChange[]> {
  // Ids of transactions begin anew in a restored database; together with its time one is unique.
  const rows = await db
    .with('ranked', (with_) =>
      with_
        .selectFrom('kg_api.config_history')
        .selectAll()
        .select(
          sql<string>`dense_rank() OVER (ORDER BY at DESC, coalesce(change_id, id::text) DESC)`.as('rank'),
        )
        .$if(topic !== undefined, (query) => query.where('topic', '=', topic as string)),
    )
    .selectFrom('ranked')
    .selectAll()
    .where(sql<boolean>`rank <= ${limit}`)
    .orderBy('id')
    .execute();
  const changes = new Map<string, RecordedChange>();
  for (const { rank, change_id, at, actor, topic: of, action, subject, before, after, detail } of rows) {
    const change = changes.get(rank) ?? { id: change_id, at, actor, entries: [] };
    changes.set(rank, change);
    // Version 0.1.0 kept what it set in `detail`.
    const was = of === null ? detail : after;
    change.entries.push({ topic: of, action, subject, before, after: was });
  }
  return [...changes.values()].reverse();
}

/** How many changes there are in all. */
export async function countChanges(db: Kysely<Tables>): Promise<number> {
  const { changes } = await db
    .selectFrom('kg_api.config_history')
    .select(sql<string>`count(DISTINCT (at, coalesce(change_id, id::text)))`.as('changes'))
    .executeTakeFirstOrThrow();
  return Number(changes);
}
