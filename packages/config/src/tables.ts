import type { ColumnType, Generated, GeneratedAlways, JSONColumnType } from 'kysely';
import type { AiOptions, AiProvider, EmbeddingProvider, Precision } from './providers.ts';

/** `timestamptz` with a default: read as Date, rarely written. */
type Timestamp = ColumnType<Date, Date | string | undefined, Date | string>;
/** `bigint GENERATED ALWAYS AS IDENTITY`: pg reads int8 as text, because it exceeds 2^53. */
type Identity = GeneratedAlways<string>;

export interface UsersTable {
  id: Identity;
  username: string;
  password_hash: string;
  role: Role;
  created_at: Timestamp;
  updated_at: Timestamp;
  /** Null: may log in. */
  disabled_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
  /** Tokens issued before are refused. */
  password_set_at: Timestamp;
  /** `env:NAME` or `file:PATH`, where the password came from. */
  password_source: string | null;
}

export interface AiProviderConfigTable {
  id: Identity;
  provider: AiProvider;
  model: string;
  base_url: string | null;
  active: Generated<boolean>;
  created_at: Timestamp;
  options: JSONColumnType<AiOptions, string | undefined>;
  updated_at: Timestamp;
}

export interface EmbeddingConfigTable {
  id: Identity;
  provider: EmbeddingProvider;
  model: string;
  dimensions: number;
  active: Generated<boolean>;
  created_at: Timestamp;
  base_url: string | null;
  precision: Generated<Precision>;
  updated_at: Timestamp;
}

export interface EmbeddingsTable {
  subject: string;
  provider: string;
  model: string;
  embedding: number[];
  created_at: Timestamp;
}

export interface SystemApiKeysTable {
  provider: string;
  key_id: string;
  ciphertext: Uint8Array;
  created_at: Timestamp;
  updated_at: Timestamp;
  /** Of the key itself, 16 hexadecimal digits (`credentialFingerprint()`); null where it was written before there were any. */
  fingerprint: string | null;
  /** `env:NAME` or `file:PATH`, where the key came from. */
  source: string | null;
  expires_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
}

export interface PlatformSettingsTable {
  key: string;
  /** Any JSON value; written as JSON text. */
  value: ColumnType<unknown, string, string>;
  updated_at: Timestamp;
}

export interface ConfigHistoryTable {
  id: Identity;
  at: Timestamp;
  actor: string;
  action: string;
  subject: string;
  detail: JSONColumnType<Record<string, unknown>, string | undefined>;
  /** Null in rows of version 0.1.0, as the two after it. */
  topic: string | null;
  before: JSONColumnType<Record<string, unknown>, string | undefined> | null;
  after: JSONColumnType<Record<string, unknown>, string | undefined> | null;
  /** Rows of one transaction share it. */
  change_id: ColumnType<string | null, never, never>;
}

export interface ConfigVersionTable {
  singleton: Generated<boolean>;
  version: ColumnType<string, never, never>;
  changed_at: Timestamp;
}

/** Written by the trigger `keep_row_image` alone. */
export interface ConfigUndoTable {
  id: Identity;
  change_id: string;
  table_name: string;
  before: JSONColumnType<Record<string, unknown>> | null;
  after: JSONColumnType<Record<string, unknown>> | null;
}

export interface KeyFingerprintTable {
  singleton: Generated<boolean>;
  key_id: string;
  created_at: Timestamp;
  /** Set while ENCRYPTION_KEY is rotated, with `bridge`: the new key, sealed with the one before. */
  previous_key_id: string | null;
  bridge: Uint8Array | null;
}

/** At most one row. */
export interface AdminClaimTable {
  singleton: Generated<boolean>;
  /** `claimTokenHash()`. */
  token_hash: Uint8Array;
  created_at: Timestamp;
  expires_at: ColumnType<Date, Date | string, Date | string>;
  used_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
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
  'kg_api.admin_claim': AdminClaimTable;
  'kg_api.ai_provider_config': AiProviderConfigTable;
  'kg_api.embedding_config': EmbeddingConfigTable;
  'kg_api.system_api_keys': SystemApiKeysTable;
  'kg_api.platform_settings': PlatformSettingsTable;
  'kg_api.config_history': ConfigHistoryTable;
  'kg_api.key_fingerprint': KeyFingerprintTable;
  'kg_api.documents': DocumentsTable;
  'kg_api.embeddings': EmbeddingsTable;
  'kg_api.config_version': ConfigVersionTable;
  'kg_api.config_undo': ConfigUndoTable;
}

export const ROLES = ['admin', 'user'] as const;
export type Role = (typeof ROLES)[number];
