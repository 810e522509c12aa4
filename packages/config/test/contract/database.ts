import { readdirSync, readFileSync } from 'node:fs';
import type { Kysely } from 'kysely';
import pg from 'pg';
import { type ConnectionSettings, poolConfig, Secret, sealCredential, type Tables } from '../../src/index.ts';

/** An empty database of a test's own. */
export interface TestDatabase {
  settings: ConnectionSettings;
  close(): Promise<void>;
}

const MIGRATIONS = new URL('../../../../schema/migrations/', import.meta.url);

/** Gives it the schema, from the files themselves. */
export async function applyMigrations(settings: ConnectionSettings): Promise<void> {
  const client = new pg.Client(poolConfig(settings));
  await client.connect();
  for (const file of readdirSync(MIGRATIONS)
    .filter((name) => name.endsWith('.sql'))
    .sort())
    await client.query(readFileSync(new URL(file, MIGRATIONS), 'utf8'));
  await client.end();
}

export const KEY = new Secret('a1'.repeat(32));

/** Stores a credential as the commands do. */
export async function storeCredential(
  db: Kysely<Tables>,
  provider: string,
  text: string,
  { key = KEY, expires_at = null as Date | null } = {},
): Promise<void> {
  const { keyId, ciphertext } = sealCredential(key, provider, new Secret(text));
  const row = { key_id: keyId, ciphertext, expires_at };
  await db
    .insertInto('kg_api.system_api_keys')
    .values({ provider, ...row })
    .onConflict((conflict) => conflict.column('provider').doUpdateSet(row))
    .execute();
}

/** A complete configuration. */
export async function configure(db: Kysely<Tables>): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const { keyId } = sealCredential(KEY, 'any', new Secret(''));
    await trx.insertInto('kg_api.key_fingerprint').values({ key_id: keyId }).execute();
    await trx
      .insertInto('kg_api.users')
      .values([
        {
          username: 'admin',
          password_hash: '$argon2id$v=19$',
          role: 'admin',
          password_set_at: '2026-01-02T03:04:05Z',
        },
        {
          username: 'gone',
          password_hash: '$argon2id$v=19$',
          role: 'user',
          disabled_at: new Date(),
          password_set_at: '2026-01-02T03:04:05.678Z',
        },
      ])
      .execute();
    await trx
      .insertInto('kg_api.ai_provider_config')
      .values([
        {
          provider: 'openai',
          model: 'gpt-5-mini',
          active: true,
          options: JSON.stringify({ temperature: 0.5, maxTokens: 100 }),
        },
        { provider: 'ollama', model: 'llama3', active: false },
      ])
      .execute();
    await trx
      .insertInto('kg_api.embedding_config')
      .values({ provider: 'local', model: 'nomic', dimensions: 768, active: true, precision: 'float16' })
      .execute();
    const store = {
      endpoint: 'http://garage:3900',
      region: 'garage',
      bucket: 'documents',
      accessKeyId: 'GK1',
    };
    await trx
      .insertInto('kg_api.platform_settings')
      .values([
        { key: 'object_store', value: JSON.stringify(store) },
        { key: 'auth.token-lifetime', value: '600' },
      ])
      .execute();
    await storeCredential(trx, 'openai', 'sk-openai');
    await storeCredential(trx, 'garage', 'garage-secret');
  });
}

/** Removes all of it. */
export async function clear(db: Kysely<Tables>): Promise<void> {
  for (const table of [
    'kg_api.users',
    'kg_api.ai_provider_config',
    'kg_api.embedding_config',
    'kg_api.system_api_keys',
    'kg_api.platform_settings',
    'kg_api.key_fingerprint',
    'kg_api.config_undo',
  ] as const)
    await db.deleteFrom(table).execute();
}
