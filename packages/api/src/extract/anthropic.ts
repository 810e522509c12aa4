import Anthropic from '@anthropic-ai/sdk';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import type { RemoteAi } from '@kg-operator/config';
import {
  type Extractor,
  extractionSchema,
  INSTRUCTIONS,
  providerError,
  tidy,
  unusable,
} from './extractor.ts';

const DEFAULT_BASE_URL = 'https://api.anthropic.com';
/** The API wants a limit; a graph of some hundred concepts fits. */
const MAX_TOKENS = 16_000;

/** Asks Anthropic's Messages API, with structured outputs. */
export function anthropicExtractor(config: RemoteAi, timeoutMs: number): Extractor {
  const provider = config.baseUrl ? `The AI provider at ${new URL(config.baseUrl).host}` : 'Anthropic';
  // Everything is given here: the SDK would else look into ANTHROPIC_* variables.
  const client = new Anthropic({
    apiKey: config.apiKey.reveal(),
    authToken: null,
    // The header the API documents, and the one that servers compatible with it read; by itself this SDK sends a bearer token.
    // https://platform.claude.com/docs/en/api/overview#authentication
    defaultHeaders: { 'x-api-key': config.apiKey.reveal(), authorization: null },
    baseURL: config.baseUrl ?? DEFAULT_BASE_URL,
    logLevel: 'off',
    timeout: timeoutMs,
    maxRetries: 1,
  });

  return {
    async extract(text, signal) {
      const deadline = AbortSignal.timeout(timeoutMs);
      try {
        const message = await client.messages.parse(
          {
            model: config.model,
            max_tokens: MAX_TOKENS,
            system: INSTRUCTIONS,
            messages: [{ role: 'user', content: text }],
            output_config: { format: zodOutputFormat(extractionSchema) },
          },
          { signal: AbortSignal.any([signal, deadline]) },
        );
        if (!message.parsed_output) throw unusable(provider, `stop reason ${message.stop_reason}`);
        return tidy(message.parsed_output);
      } catch (error) {
        if (signal.aborted) throw error;
        const isApi = error instanceof Anthropic.APIError;
        throw providerError({
          provider,
          model: config.model,
          status: isApi ? error.status : undefined,
          timedOut: deadline.aborted || error instanceof Anthropic.APIConnectionTimeoutError,
          unreachable: error instanceof Anthropic.APIConnectionError,
          cause: error,
        });
      }
    },
  };
}
