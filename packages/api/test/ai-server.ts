/**
 * A stand-in for AI providers: OpenAI's chat completions and Anthropic's messages, structured output included. It "extracts" capitalised
 * names and the words between two of them in one sentence, so that its answers follow from the text. It remembers which key it was sent
 * only as a SHA-256.
 *
 *   node ai-server.ts --port 9999
 *   GET  /last        {requests, path, model, header, keySha256, headerSha256, text, format, options, atOnce}; 404 before the first call
 *   GET  /v1/models   a list of models
 *   POST /behaviour   {status?, content?, delayMs?, refuses?, models?}: answer with this HTTP status, or this content, or later, or 400 to these
 *                     response formats; {} resets
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';

export interface LastCall {
  requests: number;
  path: string;
  model: string;
  /** Which header carried the key. */
  header: 'authorization' | 'x-api-key' | null;
  /** SHA-256 of the key alone, without `Bearer `. */
  keySha256: string | null;
  /** SHA-256 of the header's whole value. */
  headerSha256: string | null;
  text: string;
  /** How JSON was asked for: `response_format.type`, or `output_config.format.type` of Anthropic; null: not at all. */
  format: string | null;
  /** What else was given of these. */
  options: { temperature?: number; max_tokens?: number; max_completion_tokens?: number };
  /** Most requests that were under way at once until now. */
  atOnce: number;
}

export interface Behaviour {
  status?: number;
  content?: string;
  delayMs?: number;
  refuses?: string[];
  /** The names that GET /models lists. */
  models?: string[];
  /** In this process: the answer waits for it. */
  gate?: Promise<void>;
}

interface Body {
  model: string;
  messages: { role: string; content: string }[];
  response_format?: { type: string };
  output_config?: { format?: { type: string } };
  temperature?: number;
  max_tokens?: number;
  max_completion_tokens?: number;
}

interface State {
  last: LastCall | undefined;
  calls: Pick<LastCall, 'model' | 'keySha256'>[];
  behaviour: Behaviour;
  running: number;
}

export interface AiServer {
  /** http://127.0.0.1:port */
  url: string;
  last: LastCall | undefined;
  /** Of every call which model it wanted, and with which key. */
  readonly calls: Pick<LastCall, 'model' | 'keySha256'>[];
  behaviour: Behaviour;
  close(): Promise<void>;
}

export interface GraphAnswer {
  concepts: { name: string; description: string }[];
  relations: { from: string; to: string; type: string }[];
}

/** Capitalised names of a text, and what stands between two of them in one sentence. */
export function findGraph(text: string): GraphAnswer {
  const concepts = new Map<string, string>();
  const relations: GraphAnswer['relations'] = [];
  for (const sentence of text.split(/(?<=[.!?])\s+|\n+/)) {
    const names = [...sentence.matchAll(/\p{Lu}[\p{L}\p{N}-]*(?: \p{Lu}[\p{L}\p{N}-]*)*/gu)];
    for (const [index, match] of names.entries()) {
      const name = match[0];
      if (!concepts.has(name)) concepts.set(name, sentence.trim());
      const next = names[index + 1];
      if (!next) continue;
      const between = sentence.slice(match.index + name.length, next.index);
      const type = between.replace(/[^\p{L}\p{N} ]/gu, '').trim();
      if (type && name !== next[0]) relations.push({ from: name, to: next[0], type: type.slice(0, 60) });
    }
  }
  return { concepts: [...concepts].map(([name, description]) => ({ name, description })), relations };
}

export async function startAiServer(port = 0, host = '127.0.0.1'): Promise<AiServer> {
  const state: State = { last: undefined, calls: [], behaviour: {}, running: 0 };
  const server: Server = createServer((request, response) => {
    response.once('close', () => {
      state.running -= 1;
    });
    state.running += 1;
    answer(request, response, state).catch((error: unknown) => {
      send(response, 500, { error: { message: String(error) } });
    });
  });
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  const address = server.address() as AddressInfo;
  return Object.assign(state, {
    url: `http://127.0.0.1:${address.port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}

async function answer(request: IncomingMessage, response: ServerResponse, state: State): Promise<void> {
  const path = request.url ?? '/';
  let raw = '';
  for await (const chunk of request) raw += chunk;
  if (path === '/last')
    return send(response, state.last ? 200 : 404, state.last ?? { error: 'nothing was asked yet' });
  if (path === '/behaviour') {
    state.behaviour = JSON.parse(raw || '{}') as Behaviour;
    return send(response, 200, state.behaviour);
  }
  if (request.method === 'GET' && /\/(models(\?.*)?|key)$/.test(path)) {
    const { status, models = ['gpt-5-mini', 'claude-haiku-4-5'] } = state.behaviour;
    const given = request.headers['x-api-key'] ?? request.headers.authorization;
    if (status) return send(response, status, { error: { message: `Incorrect API key provided: ${given}` } });
    return send(response, 200, { object: 'list', data: models.map((id) => ({ id, object: 'model' })) });
  }
  if (request.method !== 'POST' || !/\/(chat\/completions|messages)$/.test(path)) {
    return send(response, 404, { error: { message: `no such path: ${path}` } });
  }

  const body = JSON.parse(raw) as Body;
  const header = request.headers['x-api-key']
    ? 'x-api-key'
    : request.headers.authorization
      ? 'authorization'
      : null;
  const value = header && String(request.headers[header]);
  const text = body.messages.findLast(({ role }) => role === 'user')?.content ?? '';
  const { temperature, max_tokens, max_completion_tokens } = body;
  const format = body.response_format?.type ?? body.output_config?.format?.type ?? null;
  state.last = {
    requests: (state.last?.requests ?? 0) + 1,
    path,
    model: body.model,
    header,
    keySha256: value && sha256(value.replace(/^Bearer /, '')),
    headerSha256: value && sha256(value),
    text,
    format,
    options: JSON.parse(JSON.stringify({ temperature, max_tokens, max_completion_tokens })),
    atOnce: Math.max(state.last?.atOnce ?? 0, state.running),
  };

  state.calls.push({ model: state.last.model, keySha256: state.last.keySha256 });

  const { status, content, delayMs, refuses, gate } = state.behaviour;
  await gate;
  if (delayMs) await new Promise((resolve) => setTimeout(resolve, delayMs));
  if (status) {
    // As OpenAI does with a wrong key: the answer quotes it.
    return send(response, status, { error: { type: 'test', message: `refused, key provided: ${value}` } });
  }
  if (format && refuses?.includes(format))
    return send(response, 400, { error: { message: `response_format ${format} is not supported` } });
  const output = content ?? JSON.stringify(findGraph(text));
  if (path.endsWith('/messages')) {
    return send(response, 200, {
      id: 'msg_test',
      type: 'message',
      role: 'assistant',
      model: body.model,
      content: [{ type: 'text', text: output }],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: { input_tokens: 1, output_tokens: 1 },
    });
  }
  return send(response, 200, {
    id: 'chatcmpl-test',
    object: 'chat.completion',
    created: 0,
    model: body.model,
    choices: [
      { index: 0, finish_reason: 'stop', message: { role: 'assistant', content: output, refusal: null } },
    ],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  });
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function sha256(value: string): string {
  return createHash('sha256').update(value).digest('hex');
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { port: { type: 'string', default: '9999' }, host: { type: 'string', default: '0.0.0.0' } },
  });
  await startAiServer(Number(values.port), values.host);
  console.log(`AI test server on port ${values.port}`);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(0));
}
