import type { PlatformConfig, RemoteAi } from '@kg-operator/config';
import type { Extractor } from './extractor.ts';
import { localExtractor } from './local.ts';

export type { Extraction, Extractor } from './extractor.ts';
export { ProviderError } from './extractor.ts';

/** How long a provider may take to answer, one retry included, in milliseconds. */
const TIMEOUT_MS = 120_000;

/** The extractor for the configured provider. */
export function configuredExtractor(config: PlatformConfig['ai'], timeoutMs = TIMEOUT_MS): Extractor {
  if (config.provider === 'local') return localExtractor();
  let remote: Promise<Extractor> | undefined;
  return {
    async extract(text, signal) {
      remote ??= remoteExtractor(config, timeoutMs);
      return (await remote).extract(text, signal);
    },
  };
}

/** Loads the SDK of one provider when it is first used; the other one's never. */
async function remoteExtractor(config: RemoteAi, timeoutMs: number): Promise<Extractor> {
  if (config.provider === 'anthropic') {
    const { anthropicExtractor } = await import('./anthropic.ts');
    return anthropicExtractor(config, timeoutMs);
  }
  const { openaiExtractor } = await import('./openai.ts');
  return openaiExtractor(config, timeoutMs);
}
