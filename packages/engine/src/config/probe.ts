import { AI_PROVIDER_FACTS, type AiProvider, nearest, type Secret } from '@kg-operator/config';
import { messageOf } from '../model/errors.ts';

/** What is asked of a provider. */
export interface ProbeTarget {
  provider: AiProvider;
  /** Effective, without a slash at its end. */
  baseUrl: string;
  key: Secret | null;
  /** Null: only whether the key is taken. */
  model: string | null;
}

/**
 * What came of it. `refused`: the provider answered, and does not take the key. `unknown-model`: it does, and has no such model.
 * `unreachable`: nobody answered. `unusable`: what answered is not such a provider, or is out of order.
 */
export interface ProbeResult {
  provider: AiProvider;
  outcome: 'ok' | 'refused' | 'unknown-model' | 'unreachable' | 'unusable';
  /** For a person, on one line; what the provider said is in it, without the key. */
  message: string;
  url: string;
  /** HTTP status of the answer that decided; null without one. */
  status: number | null;
  /** Names the model might have been meant for. */
  nearest: string[];
}

const TIMEOUT_MS = 10_000;
/** OpenRouter's list of models is the longest, half a megabyte. */
const MAX_BYTES = 8_000_000;
const MAX_QUOTED = 200;
/** https://platform.claude.com/docs/en/api/versioning */
const ANTHROPIC_VERSION = '2023-06-01';

/**
 * Asks a provider for its models, and with that whether it is there, takes the key, and has the model. Nothing is spent. Does not throw.
 *
 * OpenAI and what is compatible: GET {base}/models, https://platform.openai.com/docs/api-reference/models/list; OpenRouter answers that
 * without a key, so GET {base}/key before, https://openrouter.ai/docs/api/api-reference/api-keys/get-current-key; Anthropic:
 * GET {base}/v1/models and, because the list has no aliases, GET {base}/v1/models/{model}, https://platform.claude.com/docs/en/api/models/list.
 */
export async function probeProvider(
  target: ProbeTarget,
  ask: typeof fetch = fetch,
  timeoutMs = TIMEOUT_MS,
): Promise<ProbeResult> {
  const { provider, baseUrl } = target;
  const probe = new Probe(target, ask, timeoutMs);
  const isAnthropic = AI_PROVIDER_FACTS[provider].protocol === 'anthropic';
  const listUrl = isAnthropic ? `${baseUrl}/v1/models?limit=1000` : `${baseUrl}/models`;
  if (provider === 'openrouter') {
    const failure = (await probe.get(`${baseUrl}/key`)).failure;
    if (failure) return failure;
  }
  const { body, failure, url } = await probe.get(listUrl);
  if (failure) return failure;
  const models = modelNames(body);
  if (models === null)
    return probe.result('unusable', url, 200, 'the answer is no list of models: is the base URL complete?');
  const { model } = target;
  if (model === null || models.some((name) => isModel(provider, name, model)))
    return probe.result('ok', url, 200, model === null ? 'the key is taken' : `has ${model}`);
  if (isAnthropic) {
    const alias = await probe.get(`${baseUrl}/v1/models/${encodeURIComponent(model)}`);
    if (!alias.failure) return probe.result('ok', alias.url, 200, `has ${model}`);
  }
  const near = nearestModels(model, models);
  const instead = near.length > 0 ? `; the nearest: ${near.join(', ')}` : `; it has ${models.length} others`;
  return { ...probe.result('unknown-model', url, 200, `has no model ${model}${instead}`), nearest: near };
}

class Probe {
  readonly #target: ProbeTarget;
  readonly #ask: typeof fetch;
  readonly #timeoutMs: number;

  constructor(target: ProbeTarget, ask: typeof fetch, timeoutMs: number) {
    this.#target = target;
    this.#ask = ask;
    this.#timeoutMs = timeoutMs;
  }

  result(outcome: ProbeResult['outcome'], url: string, status: number | null, message: string): ProbeResult {
    return { provider: this.#target.provider, outcome, message, url, status, nearest: [] };
  }

  async get(url: string): Promise<{ url: string; body: unknown; failure: ProbeResult | null }> {
    const failed = (outcome: ProbeResult['outcome'], status: number | null, message: string) => ({
      url,
      body: null,
      failure: this.result(outcome, url, status, message),
    });
    let response: Response;
    let text: string;
    try {
      response = await this.#ask(url, {
        headers: this.#headers(),
        // A key is for the address that was given, and not for where that one sends us.
        redirect: 'manual',
        signal: AbortSignal.timeout(this.#timeoutMs),
      });
      text = await readText(response);
    } catch (error) {
      return failed('unreachable', null, `can't be reached: ${this.#why(error)}`);
    }
    const { status } = response;
    const said = this.#quote(text);
    if (status === 401 || status === 403) return failed('refused', status, `answered ${status}${said}`);
    if (status >= 300 && status < 400) {
      const to = response.headers.get('location') ?? 'nowhere';
      return failed('unusable', status, `answered ${status}, sending us to ${this.#masked(to)}`);
    }
    if (status === 404)
      return failed('unusable', status, `answered 404${said}: does the base URL lack /v1, or hold too much?`);
    if (!response.ok) return failed('unusable', status, `answered ${status}${said}`);
    try {
      return { url, body: JSON.parse(text), failure: null };
    } catch {
      return failed('unusable', status, 'answered with something that is not JSON: is it the right address?');
    }
  }

  #headers(): Record<string, string> {
    const { provider, key } = this.#target;
    const common = { accept: 'application/json', 'user-agent': 'kg-operator' };
    if (AI_PROVIDER_FACTS[provider].protocol === 'anthropic')
      return {
        ...common,
        'anthropic-version': ANTHROPIC_VERSION,
        ...(key ? { 'x-api-key': key.reveal() } : {}),
      };
    return { ...common, ...(key ? { authorization: `Bearer ${key.reveal()}` } : {}) };
  }

  #why(error: unknown): string {
    if ((error as Error).name === 'TimeoutError') return `no answer within ${this.#timeoutMs / 1000} s`;
    return this.#masked(messageOf((error as { cause?: unknown }).cause ?? error));
  }

  /** What the provider itself says is wrong, shortened. */
  #quote(text: string): string {
    const message = errorText(text);
    if (message === '') return '';
    const line = this.#masked(message.replace(/[\p{Cc}\s]+/gu, ' ').trim());
    return `: "${line.length > MAX_QUOTED ? `${line.slice(0, MAX_QUOTED)}…` : line}"`;
  }

  #masked(text: string): string {
    return maskKey(text, this.#target.key);
  }
}

/** Takes a key, and any eight characters in a row of it, out of a text; also what a provider has masked by half. */
export function maskKey(text: string, key: Secret | null): string {
  const halfMasked = text.replace(/\S*\*{3,}\S*/g, '[masked]');
  if (key === null) return halfMasked;
  const secret = key.reveal();
  const hidden = new Set<number>();
  const size = Math.min(8, secret.length);
  for (let start = 0; start + size <= secret.length; start++) {
    const part = secret.slice(start, start + size);
    for (let at = halfMasked.indexOf(part); at >= 0; at = halfMasked.indexOf(part, at + 1))
      for (let index = at; index < at + size; index++) hidden.add(index);
  }
  return halfMasked
    .split('')
    .map((character, index) => (hidden.has(index) ? (hidden.has(index - 1) ? '' : '[masked]') : character))
    .join('');
}

/** OpenAI, Anthropic and OpenRouter: `{error: {message}}`; Ollama: `{error: "…"}`; FastAPI (vLLM): `{detail}` or `{message}`. */
function errorText(text: string): string {
  try {
    const body = JSON.parse(text) as Record<string, unknown> | null;
    const candidates = [
      (body?.error as { message?: unknown })?.message,
      body?.error,
      body?.message,
      body?.detail,
    ];
    return candidates.find((one): one is string => typeof one === 'string') ?? '';
  } catch {
    return /<html|<!doctype/i.test(text) ? 'a web page' : text.slice(0, 1000);
  }
}

function modelNames(body: unknown): string[] | null {
  const { data } = (body ?? {}) as { data?: unknown };
  if (!Array.isArray(data)) return null;
  return data.map((one: { id?: unknown } | null) => one?.id).filter((id) => typeof id === 'string');
}

/** Ollama lists `name:latest`, and takes `name`; OpenRouter takes `name:free` and other ways to route beside the names it lists. */
function isModel(provider: AiProvider, listed: string, wanted: string): boolean {
  if (listed === wanted) return true;
  if (provider === 'ollama') return listed === `${wanted}:latest`;
  return provider === 'openrouter' && wanted.replace(/:[a-z]+$/, '') === listed;
}

/** At most three: those that hold the name, then those that are spelt nearly like it. */
function nearestModels(wanted: string, models: string[]): string[] {
  const found = models.filter((name) => name.toLowerCase().includes(wanted.toLowerCase())).slice(0, 3);
  while (found.length < 3) {
    const next = nearest(
      wanted,
      models.filter((name) => !found.includes(name)),
    );
    if (next === null) break;
    found.push(next);
  }
  return found;
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new Error(`the answer is longer than ${MAX_BYTES / 1e6} MB`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
