import type { PlatformConfig } from '@kg-operator/config';
import { anthropicExtractor } from './anthropic.ts';
import type { Extractor } from './extractor.ts';
import { localExtractor } from './local.ts';
import { openaiExtractor } from './openai.ts';

export type { Extraction, Extractor } from './extractor.ts';
export { ProviderError } from './extractor.ts';

/** How long a provider may take to answer, one retry included, in milliseconds. */
const TIMEOUT_MS = 120_000;

/** The extractor for the configured provider. */
export function configuredExtractor(config: PlatformConfig['ai'], timeoutMs = TIMEOUT_MS): Extractor {
  if (config.provider === 'local') return localExtractor();
  return { openai: openaiExtractor, anthropic: anthropicExtractor }[config.provider](config, timeoutMs);
}
