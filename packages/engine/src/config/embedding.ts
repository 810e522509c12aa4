import type { EmbeddingProvider, Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { type Actor, type Change, recordChange } from './history.ts';

/** Used where no model is named; dimensions as their model cards give them. */
export const DEFAULT_EMBEDDING: Record<EmbeddingProvider, { model: string; dimensions: number }> = {
  local: { model: 'nomic-embed-text-v1.5', dimensions: 768 },
  openai: { model: 'text-embedding-3-small', dimensions: 1536 },
};

/** Makes this the one active embedding provider. The same settings again change nothing. */
export async function setEmbedding(
  db: Kysely<Tables>,
  input: { provider: EmbeddingProvider; model: string; dimensions: number } & Actor,
): Promise<Change> {
  const row = { provider: input.provider, model: input.model, dimensions: input.dimensions };
  return db.transaction().execute(async (trx) => {
    const active = await trx
      .selectFrom('kg_api.embedding_config')
      .selectAll()
      .where('active', '=', true)
      .forUpdate()
      .executeTakeFirst();
    if (
      active &&
      active.provider === row.provider &&
      active.model === row.model &&
      active.dimensions === row.dimensions
    )
      return { changed: false };
    await trx
      .updateTable('kg_api.embedding_config')
      .set({ active: false })
      .where('active', '=', true)
      .execute();
    await trx
      .insertInto('kg_api.embedding_config')
      .values({ ...row, active: true })
      .execute();
    await recordChange(trx, input, 'activate', 'embedding provider', row);
    return { changed: true };
  });
}
