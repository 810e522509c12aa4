import type { RemoteAi } from '@kg-operator/config';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { readAnswer } from './answer.ts';
import {
  ANSWER_SHAPE,
  type Extractor,
  extractionSchema,
  INSTRUCTIONS,
  ProviderError,
  providerError,
  providerName,
  tidy,
  unusable,
} from './extractor.ts';

type Request = OpenAI.Chat.Completions.ChatCompletionCreateParamsNonStreaming;

/**
 * How JSON is asked for, best first. OpenAI, OpenRouter, Ollama, vLLM and llama.cpp know `json_schema`, but not with every model and in
 * every version; older servers know `json_object`, some neither.
 */
const FORMATS: NonNullable<Request['response_format']>[] = [
  zodResponseFormat(extractionSchema, 'knowledge_graph'),
  { type: 'json_object' },
  { type: 'text' },
];

/** Asks OpenAI, or a server that speaks its chat completions API. */
export function openaiExtractor(config: RemoteAi, timeoutMs: number): Extractor {
  const provider = providerName(config);
  const isOpenai = config.provider === 'openai';
  // Everything is given here: the SDK would else look into OPENAI_* variables.
  const client = new OpenAI({
    apiKey: config.apiKey?.reveal() ?? 'none',
    ...(config.apiKey ? {} : { defaultHeaders: { authorization: null } }),
    baseURL: config.baseUrl,
    organization: null,
    project: null,
    logLevel: 'off',
    timeout: timeoutMs,
    maxRetries: 1,
  });
  const { temperature, maxTokens } = config.options;
  const fixed = {
    model: config.model,
    ...(temperature === undefined ? {} : { temperature }),
    // OpenAI's newer models refuse the old name, other servers may not know the new one.
    ...(maxTokens === undefined ? {} : { [isOpenai ? 'max_completion_tokens' : 'max_tokens']: maxTokens }),
  };
  const formats = isOpenai ? FORMATS.slice(0, 1) : FORMATS;
  /** The best format that the server has not refused while it accepted a worse one. */
  let best = 0;

  async function ask(text: string, signal: AbortSignal) {
    let refused: unknown;
    for (const [index, response_format] of formats.entries()) {
      if (index < best) continue;
      try {
        const messages: Request['messages'] = [
          { role: 'system', content: isOpenai ? INSTRUCTIONS : `${INSTRUCTIONS}\n${ANSWER_SHAPE}` },
          { role: 'user', content: text },
        ];
        const request = {
          ...fixed,
          messages,
          ...(response_format.type === 'text' ? {} : { response_format }),
        };
        const completion = await client.chat.completions.create(request, { signal });
        best = index;
        return completion;
      } catch (error) {
        refused ??= error;
        if (!mayBeTheFormat(error)) throw error;
      }
    }
    throw refused;
  }

  return {
    async extract(text, signal) {
      const deadline = AbortSignal.timeout(timeoutMs);
      try {
        const completion = await ask(text, AbortSignal.any([signal, deadline]));
        const choice = completion.choices?.[0];
        const answer = readAnswer(choice?.message.content);
        if (!answer) throw unusable(provider, `finish reason ${choice?.finish_reason}`);
        return tidy(answer);
      } catch (error) {
        if (signal.aborted || error instanceof ProviderError) throw error;
        const isApi = error instanceof OpenAI.APIError;
        throw providerError({
          provider,
          model: config.model,
          timeoutMs,
          status: isApi ? error.status : undefined,
          timedOut: deadline.aborted || error instanceof OpenAI.APIConnectionTimeoutError,
          unreachable: error instanceof OpenAI.APIConnectionError,
          cause: error,
        });
      }
    },
  };
}

/** Servers say no to a format they do not know with 400 or 422, each in its own words. */
function mayBeTheFormat(error: unknown): boolean {
  return error instanceof OpenAI.APIError && (error.status === 400 || error.status === 422);
}
