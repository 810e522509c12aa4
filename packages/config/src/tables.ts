import type { ColumnType, Generated, GeneratedAlways, JSONColumnType } from 'kysely';

/** `timestamptz` with a default: read as Date, rarely written. */
type Timestamp = ColumnType<Date, Date | string | undefined, Date | string>;
/** `bigint GENERATED ALWAYS AS IDENTITY`: pg reads int8 as text, because it exceeds 2^53. */
type Identity = GeneratedAlways<string>;

export interface UsersTable {
  id: Identity;
  username: string;
  password_hash: string;
  role: 'admin' | 'member';
  created_at: Timestamp;
  updated_at: Timestamp;
}

export interface AiProviderConfigTable {
  id: Identity;
  provider: AiProvider;
  model: string;
  base_url: string | null;
  active: Generated<boolean>;
  created_at: Timestamp;
}

export interface EmbeddingConfigTable {
  id: Identity;
  provider: EmbeddingProvider;
  model: string;
  dimensions: number;
  active: Generated<boolean>;
  created_at: Timestamp;
}

export interface SystemApiKeysTable {
  provider: string;
  key_id: string;
  ciphertext: Uint8Array;
  created_at: Timestamp;
  updated_at: Timestamp;
}

export interface PlatformSettingsTable {
  key: string;
  value: JSONColumnType<Record<string, unknown>>;
  updated_at: Timestamp;
}

export interface ConfigHistoryTable {
  id: Identity;
  at: Timestamp;
  actor: string;
  action: string;
  subject: string;
  detail: JSONColumnType<Record<string, unknown>, string | undefined>;
}

export interface KeyFingerprintTable {
  singleton: Generated<boolean>;
  key_id: string;
  created_at: Timestamp;
}

export interface DocumentsTable {
  id: Generated<string>;
  title: string;
  object_key: string;
  bytes: ColumnType<string, number | string, number | string>;
  sha256: string;
  created_by: string;
  created_at: Timestamp;
}

/** The tables of schema `kg_api`, by qualified name. A test compares them with the migrated database. */
export interface Tables {
  'kg_api.users': UsersTable;
  'kg_api.ai_provider_config': AiProviderConfigTable;
  'kg_api.embedding_config': EmbeddingConfigTable;
  'kg_api.system_api_keys': SystemApiKeysTable;
  'kg_api.platform_settings': PlatformSettingsTable;
  'kg_api.config_history': ConfigHistoryTable;
  'kg_api.key_fingerprint': KeyFingerprintTable;
  'kg_api.documents': DocumentsTable;
}

/** Providers that are called with an API key of their own. */
export const KEYED_AI_PROVIDERS = ['openai', 'anthropic'] as const;
export type KeyedAiProvider = (typeof KEYED_AI_PROVIDERS)[number];
/** `local` extracts by rules in the API itself, and needs no key. */
export const AI_PROVIDERS = [...KEYED_AI_PROVIDERS, 'local'] as const;
export type AiProvider = (typeof AI_PROVIDERS)[number];
export const EMBEDDING_PROVIDERS = ['local', 'openai'] as const;
export type EmbeddingProvider = (typeof EMBEDDING_PROVIDERS)[number];
