import type { PlatformConfig } from '@kg-operator/config';

/** What GET /config answers: the configuration in force without a secret, by its own fields, so that a new one is not shown by accident. */
export function publicConfig({ version, ai, embedding, objectStore, settings }: PlatformConfig) {
  const { provider, model, dimensions, precision } = embedding;
  return {
    version,
    ai: {
      provider: ai.provider,
      model: ai.model,
      baseUrl: withoutUserinfo(ai.baseUrl),
      options: ai.options,
    },
    embedding: { provider, model, dimensions, precision, baseUrl: withoutUserinfo(embedding.baseUrl) },
    objectStore: {
      endpoint: withoutUserinfo(objectStore.endpoint),
      region: objectStore.region,
      bucket: objectStore.bucket,
    },
    settings,
  };
}

function withoutUserinfo(address: string | null): string | null {
  if (address === null || !URL.canParse(address)) return address;
  const url = new URL(address);
  if (!url.username && !url.password) return address;
  url.username = '';
  url.password = '';
  return url.href;
}
