/** What is known of an AI provider before it is configured. */
export interface AiProviderFacts {
  /** How it is spoken to: OpenAI's chat completions, Anthropic's messages, or not at all (rules inside the API). */
  protocol: 'openai' | 'anthropic' | 'rules';
  /** Null: one must be given. Includes the version path for `openai`. */
  baseUrl: string | null;
  /** Used where no model is named: the provider's small, cheap general model. Null: one must be given. */
  model: string | null;
  /** `required`: not complete without; `optional`: sent if there is one; `none`: there is none. */
  key: 'required' | 'optional' | 'none';
}

/**
 * The providers of extraction. Addresses as their documentation gives them; servers of one's own are reached on the host by default, which
 * containers know as host.docker.internal.
 */
export const AI_PROVIDER_FACTS = {
  openai: { protocol: 'openai', baseUrl: 'https://api.openai.com/v1', model: 'gpt-5-mini', key: 'required' },
  anthropic: {
    protocol: 'anthropic',
    baseUrl: 'https://api.anthropic.com',
    model: 'claude-haiku-4-5',
    key: 'required',
  },
  openrouter: {
    protocol: 'openai',
    baseUrl: 'https://openrouter.ai/api/v1',
    model: 'openai/gpt-5-mini',
    key: 'required',
  },
  ollama: { protocol: 'openai', baseUrl: 'http://host.docker.internal:11434/v1', model: null, key: 'none' },
  vllm: { protocol: 'openai', baseUrl: 'http://host.docker.internal:8000/v1', model: null, key: 'optional' },
  'llama-cpp': {
    protocol: 'openai',
    baseUrl: 'http://host.docker.internal:8080/v1',
    model: null,
    key: 'optional',
  },
  'openai-compatible': { protocol: 'openai', baseUrl: null, model: null, key: 'optional' },
  local: { protocol: 'rules', baseUrl: null, model: 'rules', key: 'none' },
} as const satisfies Record<string, AiProviderFacts>;

export type AiProvider = keyof typeof AI_PROVIDER_FACTS;
export const AI_PROVIDERS = Object.keys(AI_PROVIDER_FACTS) as AiProvider[];

/** Providers that can have an API key of their own, a row of `kg_api.system_api_keys` under the provider's name. */
export const KEYED_AI_PROVIDERS = AI_PROVIDERS.filter(
  (provider) => AI_PROVIDER_FACTS[provider].key !== 'none',
);

/** How a provider is used; what is absent is the provider's own default. */
export interface AiOptions {
  /** 0 to 2. */
  temperature?: number;
  /** Most tokens of an answer. */
  maxTokens?: number;
  /** Most requests at once from one API process. */
  concurrency?: number;
}

export const EMBEDDING_PROVIDERS = ['local', 'openai', 'ollama'] as const;
export type EmbeddingProvider = (typeof EMBEDDING_PROVIDERS)[number];
export const PRECISIONS = ['float32', 'float16'] as const;
export type Precision = (typeof PRECISIONS)[number];

/** How a server on the machine itself is reached: from a container, or from the machine. */
export type HostName = 'host.docker.internal' | 'localhost';

/**
 * The address a provider is asked at: `stored` if one is set, else the provider's own, on `host` where that is a server of one's own.
 * `stored` must be given where the provider has none (`openai-compatible`).
 */
export function effectiveBaseUrl(
  provider: Exclude<AiProvider, 'local'>,
  stored: string | null,
  host: HostName,
): string {
  const url = stored ?? ownBaseUrl(AI_PROVIDER_FACTS[provider].baseUrl, host);
  if (url === null) throw new Error(`${provider} is stored without its base URL`);
  return url;
}

/** The same for embeddings; null for `local`. */
export function effectiveEmbeddingBaseUrl(
  provider: EmbeddingProvider,
  stored: string | null,
  host: HostName,
): string | null {
  return provider === 'local' ? null : effectiveBaseUrl(provider, stored, host);
}

function ownBaseUrl(url: string | null, host: HostName): string | null {
  return url?.replace('host.docker.internal', host) ?? null;
}
