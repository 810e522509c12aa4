import { ConfigurationIncomplete, readConfigState, type Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';

/** @throws ConfigurationIncomplete naming every missing item and its command; SchemaMissing */
export async function requireConfiguration(db: Kysely<Tables>): Promise<void> {
  const missing = (await readConfigState(db)).items.filter(({ ok }) => !ok);
  if (missing.length > 0)
    throw new ConfigurationIncomplete(missing.map(({ item, command }) => ({ item, command })));
}
