import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type AiProvider, Secret } from '@kg-operator/config';
import { maskKey, type ProbeTarget, probeProvider } from '../../src/config/probe.ts';

const KEY = 'sk-proj-4f9a8b7c6d5e4f3a2b1c';
type Answer = (request: IncomingMessage, response: ServerResponse) => void;

describe('asking a provider', () => {
  let server: Server;
  let url: string;
  let answer: Answer;
  let asked: { path: string; headers: IncomingMessage['headers'] }[];
  beforeAll(async () => {
    server = createServer((request, response) => {
      asked.push({ path: request.url ?? '', headers: request.headers });
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => {
    asked = [];
  });

  const send = (status: number, body: unknown): Answer => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return (_request, response) => void response.writeHead(status).end(text);
  };
  const models = (...ids: string[]) => send(200, { object: 'list', data: ids.map((id) => ({ id })) });
  const probe = (provider: AiProvider, change: Partial<ProbeTarget> = {}, timeoutMs?: number) =>
    probeProvider(
      { provider, baseUrl: `${url}/v1`, key: new Secret(KEY), model: 'gpt-5-mini', ...change },
      fetch,
      timeoutMs,
    );

  test.each(['openai', 'vllm', 'llama-cpp', 'ollama', 'openai-compatible'] as const)(
    '%s: GET {base}/models with a bearer token',
    async (provider) => {
      answer = models('gpt-5-mini');
      expect(await probe(provider)).toMatchObject({ outcome: 'ok', status: 200, nearest: [] });
      expect(asked).toMatchObject([{ path: '/v1/models', headers: { authorization: `Bearer ${KEY}` } }]);
    },
  );

  test('anthropic: GET {base}/v1/models with x-api-key; an alias that the list lacks is looked up', async () => {
    answer = (request, response) =>
      (request.url?.startsWith('/v1/models?') ? models('claude-haiku-4-5-20251001') : send(200, { id: 'x' }))(
        request,
        response,
      );
    const target = { baseUrl: url, model: 'claude-haiku-4-5' };
    expect(await probe('anthropic', target)).toMatchObject({ outcome: 'ok' });
    expect(asked.map(({ path }) => path)).toEqual(['/v1/models?limit=1000', '/v1/models/claude-haiku-4-5']);
    expect(asked[0]?.headers).toMatchObject({ 'x-api-key': KEY, 'anthropic-version': '2023-06-01' });
    expect(asked[0]?.headers.authorization).toBeUndefined();
  });

  test('openrouter lists models to anybody: the key is asked for by itself', async () => {
    answer = (request, response) =>
      (request.url === '/v1/key'
        ? send(401, { error: { message: 'No auth credentials found' } })
        : models('m'))(request, response);
    expect(await probe('openrouter')).toMatchObject({ outcome: 'refused', status: 401 });
    answer = models('openai/gpt-5-mini');
    expect(await probe('openrouter', { model: 'openai/gpt-5-mini:free' })).toMatchObject({ outcome: 'ok' });
    expect(asked.map(({ path }) => path)).toEqual(['/v1/key', '/v1/key', '/v1/models']);
  });

  test('without a key none is sent', async () => {
    answer = models('llama3.1:latest');
    expect(await probe('ollama', { key: null, model: 'llama3.1' })).toMatchObject({ outcome: 'ok' });
    expect(asked[0]?.headers.authorization).toBeUndefined();
  });

  test('a model that is not there: the nearest names', async () => {
    answer = models('gpt-5', 'gpt-5-mini', 'text-embedding-3-small', 'whisper-1');
    expect(await probe('openai', { model: 'gpt-5-mni' })).toMatchObject({
      outcome: 'unknown-model',
      nearest: ['gpt-5-mini'],
      message: 'has no model gpt-5-mni; the nearest: gpt-5-mini',
    });
    expect(await probe('openai', { model: 'embedding' })).toMatchObject({
      nearest: ['text-embedding-3-small'],
    });
    expect(await probe('openai', { model: 'qqqqqqqqqqqqqqq' })).toMatchObject({
      nearest: [],
      message: expect.stringContaining('it has 4 others'),
    });
  });

  test.each([
    [
      { error: { message: `Incorrect API key provided: ${KEY}. You can find it …` } },
      'Incorrect API key provided',
    ],
    [
      { error: { message: 'Incorrect API key provided: sk-proj-**********2b1c.' } },
      'Incorrect API key provided',
    ],
    [
      { type: 'error', error: { type: 'authentication_error', message: 'invalid x-api-key' } },
      'invalid x-api-key',
    ],
    [{ error: 'unauthorized' }, 'unauthorized'],
    [{ detail: 'Unauthorized' }, 'Unauthorized'],
    [`<html><body>${KEY}</body></html>`, 'a web page'],
    [`key ${KEY.slice(3, 16)} is bad`, 'key [masked] is bad'],
  ])('a refusal says what the provider said, on one line, without the key: %#', async (body, said) => {
    for (const status of [401, 403]) {
      answer = send(status, body);
      const { outcome, message, status: got } = await probe('openai');
      expect([outcome, got]).toEqual(['refused', status]);
      expect(message).toContain(said);
      expect(message).not.toMatch(/\n/);
      for (let at = 0; at + 8 <= KEY.length; at++) expect(message).not.toContain(KEY.slice(at, at + 8));
      expect(message).not.toContain('2b1c');
    }
  });

  test('a long answer is shortened, and control characters do not reach a terminal', async () => {
    answer = send(401, { error: { message: `\u001b[31m${'x'.repeat(5000)}` } });
    const { message } = await probe('openai');
    expect(message.length).toBeLessThan(300);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
    expect(message).not.toMatch(/[\u0000-\u001f]/);
  });

  test.each([
    [404, { error: { message: 'no such path' } }, /404.*base URL lack \/v1/],
    [429, { error: { message: 'quota exceeded' } }, /429: "quota exceeded"/],
    [500, {}, /^answered 500$/],
    [200, 'hello', /not JSON/],
    [200, { hello: 1 }, /no list of models/],
  ])('%i %j is no refusal of the key', async (status, body, message) => {
    answer = send(status, body);
    expect(await probe('openai')).toMatchObject({
      outcome: 'unusable',
      message: expect.stringMatching(message),
    });
  });

  test('a redirect is not followed: the key is for the address that was given', async () => {
    answer = (_request, response) => void response.writeHead(302, { location: 'http://elsewhere/v1' }).end();
    expect(await probe('openai')).toMatchObject({
      outcome: 'unusable',
      message: 'answered 302, sending us to http://elsewhere/v1',
    });
    expect(asked).toHaveLength(1);
  });

  test('nobody there, and nobody who answers in time, is unreachable', async () => {
    expect(await probe('openai', { baseUrl: 'http://127.0.0.1:9/v1' })).toMatchObject({
      outcome: 'unreachable',
      status: null,
      message: expect.stringMatching(/ECONNREFUSED|bad port/),
    });
    answer = () => undefined;
    expect(await probe('openai', {}, 100)).toMatchObject({
      outcome: 'unreachable',
      message: "can't be reached: no answer within 0.1 s",
    });
    answer = (_request, response) => void response.writeHead(200).write('{"data": [');
    expect(await probe('openai', {}, 100)).toMatchObject({ outcome: 'unreachable' });
  });

  test('an answer without end is not read to its end', async () => {
    answer = (_request, response) => {
      response.writeHead(200);
      const more = () => {
        while (response.writable && response.write('x'.repeat(65_536)));
      };
      response.on('drain', more);
      more();
    };
    expect(await probe('openai')).toMatchObject({
      outcome: 'unreachable',
      message: expect.stringContaining('longer than 8 MB'),
    });
  });
});

test('a short key is masked as a whole, no key leaves the text as it is', () => {
  expect(maskKey('the key abc123 and abc', new Secret('abc123'))).toBe('the key [masked] and abc');
  expect(maskKey('as it is', null)).toBe('as it is');
});
