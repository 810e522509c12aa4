import type { Kysely } from 'kysely';
import { type ConfigRows, readConfigRows } from './config-rows.ts';
import { configStateOf } from './config-state.ts';
import { openCredential } from './encryption.ts';
import { keyInForce } from './encryption-key.ts';
import { ConfigurationIncomplete } from './errors.ts';
import { isFileStore, type ObjectStoreSettings, objectStoreOf } from './object-store.ts';
import {
  AI_PROVIDER_FACTS,
  type AiOptions,
  type AiProvider,
  type EmbeddingProvider,
  effectiveBaseUrl,
  effectiveEmbeddingBaseUrl,
  type HostName,
  type Precision,
} from './providers.ts';
import { Secret } from './secret.ts';
import { type PlatformSettings, settingsOf } from './settings.ts';
import type { Role, Tables } from './tables.ts';

/** Everything the application reads from the database. */
export interface PlatformConfig {
  /** `kg_api.config_version` that all the rest was read with, in one snapshot. It grows with every change. */
  version: string;
  ai: RemoteAi | LocalAi;
  embedding: {
    provider: EmbeddingProvider;
    model: string;
    dimensions: number;
    /** Null for `local`, which is not asked over HTTP. */
    baseUrl: string | null;
    precision: Precision;
    /** Of openai, the same as for extraction; null for the others. */
    apiKey: Secret | null;
  };
  /** No secret where the store is files. */
  objectStore: ObjectStoreSettings & { secretAccessKey: Secret | null };
  /** What is not set has its default. */
  settings: PlatformSettings;
  users: PlatformUser[];
  /** While OAUTH_SIGNING_KEY is rotated: the key before, whose tokens are valid `until` then. */
  previousSigningKey: { key: Secret; until: Date | null } | null;
}

/** A provider that is asked over HTTP. */
export interface RemoteAi {
  provider: Exclude<AiProvider, 'local'>;
  protocol: 'openai' | 'anthropic';
  model: string;
  /** As it is set, or the provider's own. */
  baseUrl: string;
  /** Null where the provider needs none. */
  apiKey: Secret | null;
  options: AiOptions;
}

/** The rules inside the API. */
export interface LocalAi {
  provider: 'local';
  protocol: 'rules';
  model: string;
  baseUrl: null;
  apiKey: null;
  options: AiOptions;
}

export interface PlatformUser {
  username: string;
  role: Role;
  disabled: boolean;
  /** Tokens issued before are refused. */
  passwordSetAt: Date;
}

export interface LoadOptions {
  /** How servers on the machine itself are reached; default `host.docker.internal`, from a container. */
  host?: HostName;
}

/** Row of `kg_api.system_api_keys` that holds the OAUTH_SIGNING_KEY before, until `expires_at`. */
export const PREVIOUS_SIGNING_KEY = 'oauth-signing-key/previous';

/**
 * The whole configuration, credentials decrypted, read by one statement.
 * @throws SchemaMissing, ConfigurationIncomplete, WrongEncryptionKey, CredentialUnreadable, SettingInvalid
 */
export async function loadConfig(
  db: Kysely<Tables>,
  encryptionKey: Secret,
  options: LoadOptions = {},
): Promise<PlatformConfig> {
  return configOf(await readConfigRows(db), encryptionKey, options);
}

/** The same from rows that are read already. */
export function configOf(
  rows: ConfigRows,
  encryptionKey: Secret,
  { host = 'host.docker.internal' }: LoadOptions = {},
): PlatformConfig {
  const key = keyInForce(rows.fingerprint, encryptionKey);
  const { items } = configStateOf(rows);
  const missing = items.filter(({ ok }) => !ok).map(({ item, command }) => ({ item, command }));
  const ai = rows.ai.find(({ active }) => active);
  const embedding = rows.embedding.find(({ active }) => active);
  const objectStore = objectStoreOf(rows);
  if (missing.length > 0 || !ai || !embedding || !objectStore) throw new ConfigurationIncomplete(missing);

  const credentials = new Map(rows.keys.map((row) => [row.provider, row]));
  const open = (row: string): Secret | null => {
    const stored = credentials.get(row);
    return stored ? new Secret(openCredential(key, row, Buffer.from(stored.ciphertext, 'hex'))) : null;
  };
  return {
    version: rows.version,
    ai: aiOf(ai, host, open),
    embedding: {
      provider: embedding.provider,
      model: embedding.model,
      dimensions: embedding.dimensions,
      baseUrl: effectiveEmbeddingBaseUrl(embedding.provider, embedding.base_url, host),
      precision: embedding.precision,
      apiKey: embedding.provider === 'openai' ? open('openai') : null,
    },
    objectStore: {
      ...objectStore,
      secretAccessKey: isFileStore(objectStore) ? null : open('garage'),
    },
    settings: settingsOf(rows.settings),
    users: rows.users.map((user) => ({
      username: user.username,
      role: user.role,
      disabled: user.disabled_at !== null,
      passwordSetAt: new Date(user.password_set_at),
    })),
    previousSigningKey: previousSigningKeyOf(credentials.get(PREVIOUS_SIGNING_KEY), open),
  };
}

function aiOf(
  row: ConfigRows['ai'][number],
  host: HostName,
  open: (row: string) => Secret | null,
): RemoteAi | LocalAi {
  const { provider, model, options } = row;
  if (provider === 'local')
    return { provider, protocol: 'rules', model, baseUrl: null, apiKey: null, options };
  const { protocol, key } = AI_PROVIDER_FACTS[provider];
  return {
    provider,
    protocol,
    model,
    baseUrl: effectiveBaseUrl(provider, row.base_url, host),
    apiKey: key === 'none' ? null : open(provider),
    options,
  };
}

function previousSigningKeyOf(
  row: ConfigRows['keys'][number] | undefined,
  open: (row: string) => Secret | null,
): PlatformConfig['previousSigningKey'] {
  if (!row) return null;
  const until = row.expires_at === null ? null : new Date(row.expires_at);
  if (until !== null && until <= new Date()) return null;
  const key = open(row.provider);
  return key && { key, until };
}
