import type { Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import type { ConfigurationDocument } from './document.ts';
import { readStored } from './document-stored.ts';

/** The whole configuration in canonical order, secrets by reference, of one moment. */
export async function exportConfiguration(db: Kysely<Tables>): Promise<ConfigurationDocument> {
  const { document } = await db.transaction().setIsolationLevel('repeatable read').execute(readStored);
  return document;
}
