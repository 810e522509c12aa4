import Anthropic from '@anthropic-ai/sdk';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import type { RemoteAi } from '@kg-operator/config';
import {
  type Extractor,
  extractionSchema,
  INSTRUCTIONS,
  ProviderError,
  providerError,
  providerName,
  tidy,
  unusable,
} from './extractor.ts';

/** The API wants a limit; a graph of some hundred concepts fits. */
const MAX_TOKENS = 16_000;

/** Asks Anthropic's Messages API, with structured outputs. */
export function anthropicExtractor(config: RemoteAi, timeoutMs: number): Extractor {
  const provider = providerName(config);
  const apiKey = config.apiKey?.reveal() ?? null;
  // Everything is given here: the SDK would else look into ANTHROPIC_* variables.
  const client = new Anthropic({
    apiKey,
    authToken: null,
    // The header the API documents, and the one that servers compatible with it read; by itself this SDK sends a bearer token.
    // https://platform.claude.com/docs/en/api/overview#authentication
    defaultHeaders: { 'x-api-key': apiKey, authorization: null },
    baseURL: config.baseUrl,
    logLevel: 'off',
    timeout: timeoutMs,
    maxRetries: 1,
  });
  const { temperature, maxTokens = MAX_TOKENS } = config.options;

  return {
    async extract(text, signal) {
      const deadline = AbortSignal.timeout(timeoutMs);
      try {
        const message = await client.messages.parse(
          {
            model: config.model,
            max_tokens: maxTokens,
            ...(temperature === undefined ? {} : { temperature }),
            system: INSTRUCTIONS,
            messages: [{ role: 'user', content: text }],
            output_config: { format: zodOutputFormat(extractionSchema) },
          },
          { signal: AbortSignal.any([signal, deadline]) },
        );
        if (!message.parsed_output) throw unusable(provider, `stop reason ${message.stop_reason}`);
        return tidy(message.parsed_output);
      } catch (error) {
        if (signal.aborted || error instanceof ProviderError) throw error;
        const isApi = error instanceof Anthropic.APIError;
        throw providerError({
          provider,
          model: config.model,
          timeoutMs,
          status: isApi ? error.status : undefined,
          timedOut: deadline.aborted || error instanceof Anthropic.APIConnectionTimeoutError,
          unreachable: error instanceof Anthropic.APIConnectionError,
          cause: error,
        });
      }
    },
  };
}
