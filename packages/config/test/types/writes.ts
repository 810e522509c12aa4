/*
 * Compiled by `npm run typecheck`, never run. Each line below a @ts-expect-error must not compile: where one does, tsc says so.
 */
import type { Kysely } from 'kysely';
import type { Tables } from '../../src/index.ts';

declare const db: Kysely<Tables>;

export const right = [
  db.insertInto('kg_api.users').values({ username: 'ada', password_hash: '$argon2id$', role: 'admin' }),
  db.insertInto('kg_api.ai_provider_config').values({ provider: 'ollama', model: 'm', options: '{}' }),
  db.updateTable('kg_api.embedding_config').set({ precision: 'float16', updated_at: new Date() }),
  db.updateTable('kg_api.key_fingerprint').set({ previous_key_id: null, bridge: null }),
];

// @ts-expect-error a table that does not exist
db.insertInto('kg_api.user').values({});
// @ts-expect-error a table without its schema
db.selectFrom('users');
// @ts-expect-error a column that does not exist
db.insertInto('kg_api.users').values({ username: 'ada', password_hash: 'x', role: 'admin', email: 'a@b' });
// @ts-expect-error a column that must have a value
db.insertInto('kg_api.users').values({ username: 'ada', role: 'admin' });
// @ts-expect-error a role that does not exist
db.insertInto('kg_api.users').values({ username: 'ada', password_hash: 'x', role: 'member' });
// @ts-expect-error a column that the database writes
db.insertInto('kg_api.users').values({ id: '1', username: 'ada', password_hash: 'x', role: 'admin' });
// @ts-expect-error null where there is none
db.updateTable('kg_api.users').set({ password_hash: null });
// @ts-expect-error a provider that does not exist
db.updateTable('kg_api.ai_provider_config').set({ provider: 'opnai' });
// @ts-expect-error a provider of extraction that makes no embeddings
db.updateTable('kg_api.embedding_config').set({ provider: 'anthropic' });
// @ts-expect-error a number as text
db.updateTable('kg_api.embedding_config').set({ dimensions: '768' });
// @ts-expect-error a precision that does not exist
db.updateTable('kg_api.embedding_config').set({ precision: 'float64' });
// @ts-expect-error JSON is written as its text
db.updateTable('kg_api.platform_settings').set({ value: { endpoint: 'file:objects' } });
// @ts-expect-error a credential is bytes
db.updateTable('kg_api.system_api_keys').set({ ciphertext: 'sk-in-the-clear' });
// @ts-expect-error a version is raised by the database alone
db.updateTable('kg_api.config_version').set({ version: '2' });
// @ts-expect-error a change's id is given by the database alone
db.updateTable('kg_api.config_history').set({ change_id: '1' });
// @ts-expect-error a column in a condition that does not exist
db.selectFrom('kg_api.users').where('name', '=', 'ada');
// @ts-expect-error a comparison with another type
db.selectFrom('kg_api.ai_provider_config').where('active', '=', 'true');
