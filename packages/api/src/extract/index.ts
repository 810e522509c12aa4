import type { PlatformConfig, RemoteAi } from '@kg-operator/config';
import { Limiter } from '../limiter.ts';
import type { Extractor } from './extractor.ts';
import { localExtractor } from './local.ts';

export type { Extraction, Extractor } from './extractor.ts';
export { ProviderError } from './extractor.ts';

/** Requests of this process, by provider: those of a configuration before still count, and wait, as what they are. */
export class ProviderLimits {
  readonly #limiters = new Map<string, Limiter>();

  /** The provider's limiter, with `concurrency` from now on; none if undefined. */
  of(provider: string, concurrency = Number.POSITIVE_INFINITY): Limiter {
    const limiter = this.#limiters.get(provider) ?? new Limiter(concurrency);
    this.#limiters.set(provider, limiter);
    limiter.limit = concurrency;
    return limiter;
  }
}

/** The extractor for the configured provider, which may take `timeoutMs` for an answer once it is asked. */
export function configuredExtractor(
  config: PlatformConfig['ai'],
  timeoutMs: number,
  limits = new ProviderLimits(),
): Extractor {
  if (config.provider === 'local') return localExtractor();
  const limiter = limits.of(config.provider, config.options.concurrency);
  let remote: Promise<Extractor> | undefined;
  return {
    async extract(text, signal) {
      remote ??= remoteExtractor(config, timeoutMs);
      const extractor = await remote;
      return limiter.run(() => extractor.extract(text, signal), signal);
    },
  };
}

/** Loads the SDK of one protocol when it is first used; the other one's never. */
async function remoteExtractor(config: RemoteAi, timeoutMs: number): Promise<Extractor> {
  if (config.protocol === 'anthropic') {
    const { anthropicExtractor } = await import('./anthropic.ts');
    return anthropicExtractor(config, timeoutMs);
  }
  const { openaiExtractor } = await import('./openai.ts');
  return openaiExtractor(config, timeoutMs);
}
