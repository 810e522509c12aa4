import { createHash } from 'node:crypto';
import type { PGlite } from '@electric-sql/pglite';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { AI_PROVIDER_FACTS, hashPassword, type RemoteAi, Secret } from '@kg-operator/config';
import { createAccounts } from '../../src/accounts.ts';
import { createApp } from '../../src/app.ts';
import { createAuth } from '../../src/auth.ts';
import { createClaims, databaseClaims } from '../../src/claims.ts';
import { createDocuments, databaseDocuments } from '../../src/documents.ts';
import { configuredExtractor } from '../../src/extract/index.ts';
import { ageGraph } from '../../src/graph.ts';
import { InForce } from '../../src/in-force.ts';
import { jsonLog, Redaction } from '../../src/log.ts';
import { readiness } from '../../src/ready.ts';
import { signingKeys } from '../../src/signing-keys.ts';
import type { Snapshot } from '../../src/snapshot.ts';
import { databaseUsers } from '../../src/users.ts';
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

async function start(provider: RemoteAi['provider'], given: Partial<RemoteAi> = {}, timeoutMs = 5_000) {
  const { protocol, key } = AI_PROVIDER_FACTS[provider];
  const config = testConfig({
    provider,
    protocol,
    model: `${provider}-test`,
    baseUrl: protocol === 'openai' ? `${ai.url}/v1` : ai.url,
    apiKey: key === 'none' ? null : new Secret(API_KEY),
    ...given,
  });
  const stored = await database.db.selectFrom('kg_api.users').selectAll().execute();
  config.users = stored.map(({ username, role, password_set_at }) => ({
    username,
    role,
    disabled: false,
    passwordSetAt: password_set_at,
  }));
  // No secrets to strike out: the log must be clean by itself.
  const log = jsonLog(new Redaction(), (line) => lines.push(line));
  const objects = new MemoryObjects();
  const snapshot: Snapshot = {
    config,
    auth: createAuth({
      users: config.users,
      keys: signingKeys(new Secret(SIGNING_KEY), null),
      tokenLifetime: 3600,
    }),
    objects,
    documents: createDocuments(databaseDocuments(database.db), objects, log),
    extractor: configuredExtractor(config.ai, timeoutMs),
  };
  const app = createApp({
    version: 'test',
    inForce: new InForce(snapshot, () => {}),
    accounts: createAccounts(databaseUsers(database.db)),
    claims: createClaims(databaseClaims(database.db)),
    graph: ageGraph(database.db),
    ready: readiness([]),
    log,
    shutdown: new AbortController().signal,
  });
  return { app, objects };
}

type App = Awaited<ReturnType<typeof start>>['app'];

async function login(app: App, password = 'correct horse battery') {
  const response = await app.request('/oauth/token', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ grant_type: 'password', username: 'ada', password }).toString(),
  });
  return { response, body: (await response.json()) as Record<string, string> };
}

async function client(app: App) {
  const { body } = await login(app);
  return (method: string, path: string, json?: unknown) =>
    app.request(path, {
      method,
      headers: { authorization: `Bearer ${body.access_token}`, 'content-type': 'application/json' },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    });
}

async function startClient(...given: Parameters<typeof start>) {
  return client((await start(...given)).app);
}

test('a user of the database logs in with the password, and with no other', async () => {
  const { app } = await start('openai');
  expect((await login(app)).response.status).toBe(200);
  expect((await login(app, 'wrong')).body).toMatchObject({ error: 'invalid_grant' });
});

test('documents: stored, listed newest first, read', async () => {
  const call = await startClient('openai');
  const created = await call('POST', '/documents', { title: 'One', text: 'first text' });
  expect(created.status).toBe(201);
  const { id } = (await created.json()) as { id: string };
  await call('POST', '/documents', { title: 'Two', text: 'second text' });
  expect(await (await call('GET', '/documents')).json()).toMatchObject({
    documents: [{ title: 'Two' }, { title: 'One', bytes: 10, createdBy: 'ada' }],
  });
  expect(await (await call('GET', `/documents/${id}`)).json()).toMatchObject({ id, text: 'first text' });
});

const bearer = { header: 'authorization', value: `Bearer ${API_KEY}` } as const;
const none = { header: null, value: null };
describe.each([
  ['openai', bearer, { temperature: 0, max_completion_tokens: 900 }],
  ['openrouter', bearer, { temperature: 0, max_tokens: 900 }],
  ['ollama', none, { temperature: 0, max_tokens: 900 }],
  ['vllm', bearer, { temperature: 0, max_tokens: 900 }],
  ['llama-cpp', bearer, { temperature: 0, max_tokens: 900 }],
  ['openai-compatible', bearer, { temperature: 0, max_tokens: 900 }],
  ['anthropic', { header: 'x-api-key', value: API_KEY }, { temperature: 0, max_tokens: 900 }],
] as const)('POST /extract with %s', (provider, { header, value }, options) => {
  test('sends key, model and options, and stores what is found', async () => {
    const call = await startClient(provider, { options: { temperature: 0, maxTokens: 900 } });
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
      requests: 1,
      header,
      headerSha256: value && createHash('sha256').update(value).digest('hex'),
      keySha256: value && createHash('sha256').update(API_KEY).digest('hex'),
      model: `${provider}-test`,
      format: 'json_schema',
      options,
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
    const call = await startClient(provider);
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
    const slow = await startClient(provider, {}, 50);
    expect(await (await slow('POST', '/extract', { text: 'A.' })).json()).toMatchObject({
      error: { code: 'provider_timeout', message: expect.stringContaining('within 0.05 s') },
    });
    const away = await startClient(provider, { baseUrl: 'http://127.0.0.1:9' });
    expect(await (await away('POST', '/extract', { text: 'A.' })).json()).toMatchObject({
      error: { code: 'provider_unreachable' },
    });
  });

  test('no more requests at once than its concurrency', async () => {
    const call = await startClient(provider, { options: { concurrency: 2 } });
    ai.behaviour = { delayMs: 60 };
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => call('POST', '/extract', { text: 'Ada met Bob.' })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200));
    expect(ai.last).toMatchObject({ requests: 6, atOnce: 2 });
  });
});

describe('a server that does not know every format', () => {
  const text = 'Grace Hopper built the first Compiler.';
  const graph = '{"concepts":[{"name":"Grace Hopper","description":""}],"relations":[]}';

  test.each([
    ['json_schema', ['json_schema'], 'json_object'],
    ['neither json_schema nor json_object', ['json_schema', 'json_object'], null],
  ])('%s: is asked in the best way it knows, and then at once', async (_, refuses, format) => {
    const call = await startClient('openai-compatible', { apiKey: null });
    ai.behaviour = { refuses };
    expect((await call('POST', '/extract', { text })).status).toBe(200);
    expect(ai.last).toMatchObject({ requests: refuses.length + 1, format, header: null });
    expect((await call('POST', '/extract', { text })).status).toBe(200);
    expect(ai.last).toMatchObject({ requests: refuses.length + 2, format });
  });

  test('OpenAI itself knows json_schema: another reason for 400 is reported, not tried again', async () => {
    const call = await startClient('openai');
    ai.behaviour = { refuses: ['json_schema'] };
    expect((await call('POST', '/extract', { text })).status).toBe(502);
    expect(ai.last?.requests).toBe(1);
  });

  test.each([
    ['a Markdown fence', `\`\`\`json\n${graph}\n\`\`\``],
    ['a sentence around it', `Here is the graph: ${graph} I hope it helps.`],
    ['the thoughts of a reasoning model', `<think>The user wants {"concepts"…}</think>\n${graph}`],
  ])('an answer with %s is read', async (_, content) => {
    const call = await startClient('ollama');
    ai.behaviour = { content };
    const response = await call('POST', '/extract', { text });
    expect(await response.json()).toMatchObject({ concepts: [{ name: 'Grace Hopper' }] });
  });
});
