import type { RemoteAi } from '@kg-operator/config';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import {
  type Extractor,
  extractionSchema,
  INSTRUCTIONS,
  providerError,
  tidy,
  unusable,
} from './extractor.ts';

const DEFAULT_BASE_URL = 'https://api.openai.com/v1';

/** Asks OpenAI, or a server that speaks its chat completions API with structured outputs. */
export function openaiExtractor(config: RemoteAi, timeoutMs: number): Extractor {
  const provider = config.baseUrl ? `The AI provider at ${new URL(config.baseUrl).host}` : 'OpenAI';
  // Everything is given here: the SDK would else look into OPENAI_* variables.
  const client = new OpenAI({
    apiKey: config.apiKey.reveal(),
    baseURL: config.baseUrl ?? DEFAULT_BASE_URL,
    organization: null,
    project: null,
    logLevel: 'off',
    timeout: timeoutMs,
    maxRetries: 1,
  });

  return {
    async extract(text, signal) {
      const deadline = AbortSignal.timeout(timeoutMs);
      try {
        const completion = await client.chat.completions.parse(
          {
            model: config.model,
            messages: [
              { role: 'system', content: INSTRUCTIONS },
              { role: 'user', content: text },
            ],
            response_format: zodResponseFormat(extractionSchema, 'knowledge_graph'),
          },
          { signal: AbortSignal.any([signal, deadline]) },
        );
        const answer = completion.choices[0]?.message.parsed;
        if (!answer) throw unusable(provider, 'refusal or no choice');
        return tidy(answer);
      } catch (error) {
        if (signal.aborted) throw error;
        const isApi = error instanceof OpenAI.APIError;
        throw providerError({
          provider,
          model: config.model,
          status: isApi ? error.status : undefined,
          timedOut: deadline.aborted || error instanceof OpenAI.APIConnectionTimeoutError,
          unreachable: error instanceof OpenAI.APIConnectionError,
          cause: error,
        });
      }
    },
  };
}
