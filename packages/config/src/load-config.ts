import type { Kysely } from 'kysely';
import { keyIdOf, openCredential } from './encryption.ts';
import { Secret } from './secret.ts';
import type { EmbeddingProvider, KeyedAiProvider, Tables } from './tables.ts';

/** Everything the application reads from the database at start-up. */
export interface PlatformConfig {
  ai: RemoteAi | LocalAi;
  embedding: { provider: EmbeddingProvider; model: string; dimensions: number };
  /** No secret where the store is files. */
  objectStore: ObjectStoreSettings & { secretAccessKey: Secret | null };
}

/** A provider that is asked over HTTP. */
export interface RemoteAi {
  provider: KeyedAiProvider;
  model: string;
  /** Null: the provider's own address. */
  baseUrl: string | null;
  apiKey: Secret;
}

/** The rules inside the API. */
export interface LocalAi {
  provider: 'local';
  model: string;
  baseUrl: null;
  apiKey: null;
}

/** Row `object_store` of `kg_api.platform_settings`; the secret is the row `garage` of `kg_api.system_api_keys`. */
export interface ObjectStoreSettings {
  /** An S3 address, or `file:DIRECTORY`, relative to the data directory of the process that serves the API. */
  endpoint: string;
  region: string;
  bucket: string;
  accessKeyId: string;
}

/** One thing that configuration must hold: what there is, or the command that provides it. */
export interface ConfigItem {
  item: string;
  ok: boolean;
  /** What is configured, without any secret; `missing` otherwise. */
  summary: string;
  command: string;
}

/** What is configured, in plain rows; no ciphertext is opened. */
export interface ConfigState {
  items: ConfigItem[];
  /** Id of the key that the stored credentials are encrypted with; null before the first one. */
  keyId: string | null;
}

/** Items are missing; the message names each with its command. */
export class ConfigurationIncomplete extends Error {
  readonly missing: { item: string; command: string }[];

  constructor(missing: { item: string; command: string }[]) {
    const lines = missing.map(({ item, command }) => `  - ${item}: ${command}`);
    super(`configuration is incomplete:\n${lines.join('\n')}`);
    this.name = 'ConfigurationIncomplete';
    this.missing = missing;
  }
}

/** The configuration tables are not there: migrations have not run. */
export class SchemaMissing extends Error {
  constructor(cause?: unknown) {
    super('the database schema is not there yet: run ./operator.sh migrate', { cause });
    this.name = 'SchemaMissing';
  }
}

/** `ENCRYPTION_KEY` is not the key the stored credentials were encrypted with. */
export class WrongEncryptionKey extends Error {
  readonly storedKeyId: string;
  readonly givenKeyId: string;

  constructor(storedKeyId: string, givenKeyId: string) {
    super(
      `ENCRYPTION_KEY is key ${givenKeyId}, but this database's credentials are encrypted with key ${storedKeyId}: restore the .env that belongs to this database`,
    );
    this.name = 'WrongEncryptionKey';
    this.storedKeyId = storedKeyId;
    this.givenKeyId = givenKeyId;
  }
}

/**
 * Which configuration items exist.
 * @throws SchemaMissing when the tables are not there.
 */
export async function readConfigState(db: Kysely<Tables>): Promise<ConfigState> {
  return stateOf(await readRows(db));
}

function stateOf({ admins, ai, embedding, objectStore, keys, fingerprint }: ConfigRows): ConfigState {
  const items: ConfigItem[] = [
    item('admin user', admins.map((row) => row.username).join(', '), 'config admin'),
    item(
      'AI provider',
      ai && `${ai.provider} ${ai.model}${ai.base_url ? ` at ${ai.base_url}` : ''}`,
      'config ai-provider openai',
    ),
  ];
  if (ai && ai.provider !== 'local')
    items.push(
      item(
        `${ai.provider} API key`,
        keys.has(ai.provider) && 'stored, encrypted',
        `config api-key ${ai.provider}`,
      ),
    );
  items.push(
    item(
      'embedding provider',
      embedding && `${embedding.provider} ${embedding.model}`,
      'config embedding local',
    ),
  );
  if (embedding?.provider === 'openai' && ai?.provider !== 'openai') {
    items.push(item('openai API key', keys.has('openai') && 'stored, encrypted', 'config api-key openai'));
  }
  items.push(item('object storage', describeStore(objectStore, keys.has('garage')), 'config garage'));
  return { items, keyId: fingerprint?.key_id ?? null };
}

function describeStore(store: ObjectStoreSettings | undefined, hasKey: boolean): string | undefined {
  if (!store) return undefined;
  if (isFileStore(store)) return `files in ${store.endpoint.slice('file:'.length)}/ of the data directory`;
  return hasKey ? `bucket ${store.bucket} at ${store.endpoint}` : undefined;
}

/** Whether documents are kept in files, which need no credentials. */
export function isFileStore(store: Pick<ObjectStoreSettings, 'endpoint'>): boolean {
  return store.endpoint.startsWith('file:');
}

/**
 * The whole configuration, credentials decrypted.
 * @throws SchemaMissing, ConfigurationIncomplete, WrongEncryptionKey, CredentialUnreadable
 */
export async function loadConfig(db: Kysely<Tables>, encryptionKey: Secret): Promise<PlatformConfig> {
  const rows = await readRows(db);
  const { items, keyId } = stateOf(rows);
  const givenKeyId = keyIdOf(encryptionKey);
  if (keyId !== null && keyId !== givenKeyId) throw new WrongEncryptionKey(keyId, givenKeyId);
  const missing = items.filter(({ ok }) => !ok);
  const { ai, embedding, objectStore, keys } = rows;
  if (missing.length > 0 || !ai || !embedding || !objectStore) {
    throw new ConfigurationIncomplete(missing.map(({ item, command }) => ({ item, command })));
  }
  const open = async (row: string): Promise<Secret> => {
    const ciphertext = keys.get(row);
    if (!ciphertext)
      throw new ConfigurationIncomplete([
        { item: `${row} API key`, command: `./operator.sh config api-key ${row}` },
      ]);
    return new Secret(await openCredential(encryptionKey, row, ciphertext));
  };
  return {
    ai:
      ai.provider === 'local'
        ? { provider: ai.provider, model: ai.model, baseUrl: null, apiKey: null }
        : { provider: ai.provider, model: ai.model, baseUrl: ai.base_url, apiKey: await open(ai.provider) },
    embedding: { provider: embedding.provider, model: embedding.model, dimensions: embedding.dimensions },
    objectStore: {
      ...objectStore,
      secretAccessKey: isFileStore(objectStore) ? null : await open('garage'),
    },
  };
}

function item(name: string, summary: string | false | undefined, command: string): ConfigItem {
  return {
    item: name,
    ok: Boolean(summary),
    summary: summary || 'missing',
    command: `./operator.sh ${command}`,
  };
}

type ConfigRows = Awaited<ReturnType<typeof readRows>>;

async function readRows(db: Kysely<Tables>) {
  try {
    const [admins, ai, embedding, settings, keyRows, fingerprint] = await Promise.all([
      db
        .selectFrom('kg_api.users')
        .select('username')
        .where('role', '=', 'admin')
        .orderBy('username')
        .execute(),
      db.selectFrom('kg_api.ai_provider_config').selectAll().where('active', '=', true).executeTakeFirst(),
      db.selectFrom('kg_api.embedding_config').selectAll().where('active', '=', true).executeTakeFirst(),
      db
        .selectFrom('kg_api.platform_settings')
        .select('value')
        .where('key', '=', 'object_store')
        .executeTakeFirst(),
      db.selectFrom('kg_api.system_api_keys').select(['provider', 'ciphertext']).execute(),
      db.selectFrom('kg_api.key_fingerprint').select('key_id').executeTakeFirst(),
    ]);
    const keys = new Map(keyRows.map((row) => [row.provider, row.ciphertext]));
    return {
      admins,
      ai,
      embedding,
      objectStore: settings?.value as ObjectStoreSettings | undefined,
      keys,
      fingerprint,
    };
  } catch (error) {
    if (isMissingTable(error)) throw new SchemaMissing(error);
    throw error;
  }
}

/** SQLSTATE 42P01 undefined_table, 3F000 invalid_schema_name: https://www.postgresql.org/docs/17/errcodes-appendix.html */
function isMissingTable(error: unknown): boolean {
  const code = (error as { code?: string }).code;
  return code === '42P01' || code === '3F000';
}
