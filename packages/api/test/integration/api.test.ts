import { createHash } from 'node:crypto';
import type { PGlite } from '@electric-sql/pglite';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { hashPassword, type KeyedAiProvider, Secret } from '@kg-operator/config';
import { createApp } from '../../src/app.ts';
import { createAuth, databaseUsers } from '../../src/auth.ts';
import { createDocuments, databaseDocuments } from '../../src/documents.ts';
import { configuredExtractor } from '../../src/extract/index.ts';
import { ageGraph } from '../../src/graph.ts';
import { jsonLog } from '../../src/log.ts';
import { readiness } from '../../src/ready.ts';
import { type AiServer, startAiServer } from '../ai-server.ts';
import { migratedDatabase } from '../database.ts';
import { API_KEY, MemoryObjects, SIGNING_KEY, testConfig } from '../fakes.ts';

let pglite: PGlite;
let ai: AiServer;
let database: Awaited<ReturnType<typeof migratedDatabase>>;
let lines: string[] = [];

beforeAll(async () => {
  database = await migratedDatabase();
  pglite = database.pglite;
  ai = await startAiServer();
  await database.db
    .insertInto('kg_api.users')
    .values({ username: 'ada', password_hash: await hashPassword('correct horse battery'), role: 'admin' })
    .execute();
}, 60_000);
afterAll(async () => {
  await ai.close();
  await pglite.close();
});
beforeEach(() => {
  lines = [];
  ai.behaviour = {};
  ai.last = undefined;
});

function start(provider: KeyedAiProvider, { baseUrl = '', timeoutMs = 5_000, apiKey = API_KEY } = {}) {
  const config = testConfig({
    provider,
    model: `${provider}-test`,
    baseUrl: baseUrl || (provider === 'openai' ? `${ai.url}/v1` : ai.url),
    apiKey: new Secret(apiKey),
  });
  // No secrets to strike out: the log must be clean by itself.
  const log = jsonLog([], (line) => lines.push(line));
  const objects = new MemoryObjects();
  const app = createApp({
    version: 'test',
    config,
    auth: createAuth(databaseUsers(database.db), new Secret(SIGNING_KEY)),
    graph: ageGraph(database.db),
    documents: createDocuments(databaseDocuments(database.db), objects, log),
    extractor: configuredExtractor(config.ai, timeoutMs),
    ready: readiness([]),
    log,
    shutdown: new AbortController().signal,
  });
  return { app, objects };
}

async function login(app: ReturnType<typeof start>['app'], password = 'correct horse battery') {
  const response = await app.request('/oauth/token', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ grant_type: 'password', username: 'ada', password }).toString(),
  });
  return { response, body: (await response.json()) as Record<string, string> };
}

async function client(app: ReturnType<typeof start>['app']) {
  const { body } = await login(app);
  return (method: string, path: string, json?: unknown) =>
    app.request(path, {
      method,
      headers: { authorization: `Bearer ${body.access_token}`, 'content-type': 'application/json' },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    });
}

test('a user of the database logs in with the password, and with no other', async () => {
  const { app } = start('openai');
  expect((await login(app)).response.status).toBe(200);
  expect((await login(app, 'wrong')).body).toMatchObject({ error: 'invalid_grant' });
});

test('documents: stored, listed newest first, read', async () => {
  const { app } = start('openai');
  const call = await client(app);
  const created = await call('POST', '/documents', { title: 'One', text: 'first text' });
  expect(created.status).toBe(201);
  const { id } = (await created.json()) as { id: string };
  await call('POST', '/documents', { title: 'Two', text: 'second text' });
  expect(await (await call('GET', '/documents')).json()).toMatchObject({
    documents: [{ title: 'Two' }, { title: 'One', bytes: 10, createdBy: 'ada' }],
  });
  expect(await (await call('GET', `/documents/${id}`)).json()).toMatchObject({ id, text: 'first text' });
});

describe.each([
  ['openai' as const, 'authorization', `Bearer ${API_KEY}`],
  ['anthropic' as const, 'x-api-key', API_KEY],
])('POST /extract with %s', (provider, header, value) => {
  test('sends the key in its header and stores what is found', async () => {
    const call = await client(start(provider).app);
    const text = `${provider} Reader asks. Grace Hopper built the first Compiler for Univac.`;
    const response = await call('POST', '/extract', { title: 'Hopper', text });
    expect(await response.json()).toMatchObject({
      document: { title: 'Hopper' },
      concepts: expect.arrayContaining([expect.objectContaining({ name: 'Grace Hopper' })]),
      relations: [
        { from: 'Grace Hopper', to: 'Compiler', type: 'built the first' },
        { from: 'Compiler', to: 'Univac', type: 'for' },
      ],
    });
    expect(response.status).toBe(200);
    expect(ai.last).toMatchObject({
      header,
      headerSha256: createHash('sha256').update(value).digest('hex'),
      keySha256: createHash('sha256').update(API_KEY).digest('hex'),
      model: `${provider}-test`,
      text,
    });
    const graph = (await (await call('GET', '/graph')).json()) as { nodes: { name: string }[] };
    expect(graph.nodes.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['Grace Hopper', 'Compiler', 'Univac']),
    );
  });

  test.each([
    ['refuses the key', { status: 401 }, 'provider_refused_key'],
    ['does not know the model', { status: 404 }, 'provider_model_unknown'],
    ['refuses the request', { status: 400 }, 'provider_refused_request'],
    ['answers no JSON', { content: `no JSON, ${API_KEY}` }, 'provider_answer_unusable'],
    ['answers other JSON', { content: `{"key":"${API_KEY}"}` }, 'provider_answer_unusable'],
  ])('a provider that %s: 502, and the key in neither answer nor log', async (_, behaviour, code) => {
    const call = await client(start(provider).app);
    ai.behaviour = behaviour;
    const response = await call('POST', '/extract', { text: 'Anything.' });
    const body = await response.text();
    expect(response.status).toBe(502);
    expect(JSON.parse(body)).toMatchObject({ error: { code, documentId: expect.any(String) } });
    expect(lines.some((line) => line.includes(code))).toBe(true);
    expect(body + lines.join()).not.toContain(API_KEY);
  });

  test('a provider that is slow or away: 502', async () => {
    ai.behaviour = { delayMs: 1_000 };
    const slow = await client(start(provider, { timeoutMs: 50 }).app);
    expect(await (await slow('POST', '/extract', { text: 'A.' })).json()).toMatchObject({
      error: { code: 'provider_timeout' },
    });
    const away = await client(start(provider, { baseUrl: 'http://127.0.0.1:9' }).app);
    expect(await (await away('POST', '/extract', { text: 'A.' })).json()).toMatchObject({
      error: { code: 'provider_unreachable' },
    });
  });
});
