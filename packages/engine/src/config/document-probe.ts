import {
  AI_PROVIDER_FACTS,
  type AiProvider,
  type EmbeddingProvider,
  effectiveBaseUrl,
  type HostName,
  openCredential,
  resolveEncryptionKey,
  Secret,
  type Tables,
} from '@kg-operator/config';
import type { Kysely } from 'kysely';
import type { AiEntry, ConfigurationDocument, EmbeddingEntry } from './document.ts';
import type { ReferredSecret } from './document-secrets.ts';
import { DEFAULT_EMBEDDING } from './embedding.ts';
import type { ProbeTarget } from './probe.ts';

export interface ProbeSources {
  encryptionKey: Secret;
  /** What the document refers to, as it was found. */
  secrets: ReferredSecret[];
  /** How servers on this machine are reached from where the platform runs. */
  host: HostName;
}

/** What of a document can be asked for, each with the key that it will have: the document's, or else the stored one. */
export async function probeTargets(
  db: Kysely<Tables>,
  document: ConfigurationDocument,
  { encryptionKey, secrets, host }: ProbeSources,
): Promise<ProbeTarget[]> {
  const stored = await db.selectFrom('kg_api.ai_provider_config').select(['provider', 'base_url']).execute();
  const rows = await db.selectFrom('kg_api.system_api_keys').select(['provider', 'ciphertext']).execute();
  const key = await resolveEncryptionKey(db, encryptionKey);
  const keyOf = (provider: AiProvider): Secret | null => {
    const given = secrets.find(({ path }) => path[0] === 'apiKeys' && path[1] === provider)?.secret;
    const row = rows.find((one) => one.provider === provider);
    return given ?? (row ? new Secret(openCredential(key, provider, row.ciphertext)) : null);
  };
  const asked = questions(document, (name) => stored.find(({ provider }) => provider === name)?.base_url);
  return asked.flatMap(({ provider, baseUrl, model }) => {
    const hasAddress = baseUrl !== null || AI_PROVIDER_FACTS[provider].baseUrl !== null;
    if (provider === 'local' || !hasAddress) return [];
    const address = effectiveBaseUrl(provider, baseUrl, host).replace(/\/+$/, '');
    return [{ provider, baseUrl: address, model, key: keyOf(provider) }];
  });
}

interface Question {
  provider: AiProvider;
  baseUrl: string | null;
  /** Null: only whether the key is taken. */
  model: string | null;
}

function questions(
  { ai, embedding, apiKeys }: ConfigurationDocument,
  storedBaseUrl: (provider: AiProvider) => string | null | undefined,
): Question[] {
  const extracting = (Object.entries(ai?.providers ?? {}) as [AiProvider, AiEntry][]).map(
    ([provider, { baseUrl = null, model }]) => ({
      provider,
      baseUrl,
      model: model ?? AI_PROVIDER_FACTS[provider].model,
    }),
  );
  const embeddings = (
    Object.entries(embedding?.providers ?? {}) as [EmbeddingProvider, EmbeddingEntry][]
  ).map(([provider, { baseUrl = null, model }]) => ({
    provider,
    baseUrl,
    model: model ?? DEFAULT_EMBEDDING[provider].model,
  }));
  const named = [...extracting, ...embeddings];
  const keysAlone = (Object.keys(apiKeys ?? {}) as AiProvider[])
    .filter((provider) => !named.some((one) => one.provider === provider))
    .map((provider) => ({ provider, baseUrl: storedBaseUrl(provider) ?? null, model: null }));
  return [...named, ...keysAlone];
}
