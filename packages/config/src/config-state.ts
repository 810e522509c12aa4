import type { Kysely } from 'kysely';
import { type ConfigRows, isEnabledAdmin, readConfigRows } from './config-rows.ts';
import { isFileStore, objectStoreOf } from './object-store.ts';
import { AI_PROVIDER_FACTS } from './providers.ts';
import type { Tables } from './tables.ts';

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
  /** `kg_api.config_version`. */
  version: string;
  items: ConfigItem[];
  /** Id of the key that the stored credentials are encrypted with; null before the first one. */
  keyId: string | null;
  /** While ENCRYPTION_KEY is rotated: the key before, whose owner can still read everything. */
  previousKeyId: string | null;
  /** Nobody is admin yet, and whoever has the token makes the first one; null otherwise. */
  claim: {
    expiresAt: Date;
    /** It has not expired. */
    counts: boolean;
  } | null;
  /** How many are stored; of settings those that are set. */
  counts: {
    users: number;
    aiProviders: number;
    embeddingProviders: number;
    apiKeys: number;
    settings: number;
  };
}

/**
 * Which configuration items exist.
 * @throws SchemaMissing when the tables are not there.
 */
export async function readConfigState(db: Kysely<Tables>): Promise<ConfigState> {
  return configStateOf(await readConfigRows(db));
}

/** The same from rows that are read already. */
export function configStateOf(rows: ConfigRows): ConfigState {
  return {
    version: rows.version,
    items: itemsOf(rows),
    keyId: rows.fingerprint?.key_id ?? null,
    previousKeyId: rows.fingerprint?.previous_key_id ?? null,
    claim: rows.claim && { expiresAt: new Date(rows.claim.expires_at), counts: rows.claim.counts },
    counts: {
      users: rows.users.length,
      aiProviders: rows.ai.length,
      embeddingProviders: rows.embedding.length,
      apiKeys: rows.keys.length,
      settings: rows.settings.filter(({ key }) => key !== 'object_store').length,
    },
  };
}

function itemsOf(rows: ConfigRows): ConfigItem[] {
  const ai = rows.ai.find(({ active }) => active);
  const embedding = rows.embedding.find(({ active }) => active);
  const store = objectStoreOf(rows);
  const stored = new Set(rows.keys.map(({ provider }) => provider));
  const admins = rows.users.filter(isEnabledAdmin);
  const apiKey = (provider: string) =>
    item(`${provider} API key`, stored.has(provider) && 'stored, encrypted', `config api-key ${provider}`);

  const items = [
    rows.claim
      ? item('admin user', 'nobody has claimed the platform yet', 'config claim')
      : item('admin user', admins.map(({ username }) => username).join(', '), 'config admin'),
    item(
      'AI provider',
      ai && `${ai.provider} ${ai.model}${ai.base_url ? ` at ${ai.base_url}` : ''}`,
      'config ai-provider openai',
    ),
  ];
  if (ai && ai.provider !== 'local' && AI_PROVIDER_FACTS[ai.provider].baseUrl === null)
    items.push(
      item(
        `${ai.provider} base URL`,
        ai.base_url ?? undefined,
        `config ai-provider ${ai.provider} --base-url URL`,
      ),
    );
  if (ai && AI_PROVIDER_FACTS[ai.provider].key === 'required') items.push(apiKey(ai.provider));
  items.push(
    item(
      'embedding provider',
      embedding && `${embedding.provider} ${embedding.model}`,
      'config embedding local',
    ),
  );
  if (embedding?.provider === 'openai' && ai?.provider !== 'openai') items.push(apiKey('openai'));
  const bucket = store && stored.has('garage') && `bucket ${store.bucket} at ${store.endpoint}`;
  const files =
    store && isFileStore(store) && `files in ${store.endpoint.slice('file:'.length)}/ of the data directory`;
  items.push(item('object storage', files || bucket, 'config garage'));
  return items;
}

function item(name: string, summary: string | false | undefined, command: string): ConfigItem {
  return {
    item: name,
    ok: Boolean(summary),
    summary: summary || 'missing',
    command: `./operator.sh ${command}`,
  };
}
