import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { hashPassword, Secret } from '@kg-operator/config';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { ProviderError } from '../../src/extract/index.ts';
import { SigningKeyInvalid, signingKeys } from '../../src/signing-keys.ts';
import { API_KEY, MemoryGraph, SIGNING_KEY, testApp, testConfig } from '../fakes.ts';

const login = (form: Record<string, string> | string) => ({
  method: 'POST',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body: new URLSearchParams(form).toString(),
});
const users = [
  {
    username: 'ada',
    passwordHash: await hashPassword('correct horse battery'),
    disabled: false,
    passwordSetAt: new Date(0),
  },
];
const key = Buffer.from(SIGNING_KEY, 'hex');

afterEach(() => {
  jest.useRealTimers();
});

describe('POST /oauth/token', () => {
  test('issues a token that opens the API, with issuer, audience, subject, the name of the key and an hour to live', async () => {
    const { app } = testApp({ users });
    const response = await app.request(
      '/oauth/token',
      login({ grant_type: 'password', username: 'Ada', password: 'correct horse battery' }),
    );
    expect(response.status).toBe(200);
    expect(response.headers.get('cache-control')).toBe('no-store');
    const body = (await response.json()) as { access_token: string };
    expect(body).toEqual({ access_token: expect.any(String), token_type: 'Bearer', expires_in: 3600 });
    const claims = decodeJwt(body.access_token);
    expect(claims).toMatchObject({ iss: 'kg-operator', aud: 'kg-api', sub: 'ada', pwd: 0 });
    expect(decodeProtectedHeader(body.access_token)).toMatchObject({
      alg: 'HS256',
      kid: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(3600);
    const graph = await app.request('/graph', { headers: { authorization: `Bearer ${body.access_token}` } });
    expect(graph.status).toBe(200);
  });

  test('answers an unknown user and a wrong password alike', async () => {
    const { app } = testApp({ users });
    const answers = await Promise.all(
      ['ada', 'nobody'].map(async (username) => {
        const response = await app.request(
          '/oauth/token',
          login({ grant_type: 'password', username, password: 'wrong' }),
        );
        return { status: response.status, body: await response.json() };
      }),
    );
    expect(answers[0]).toEqual({
      status: 400,
      body: { error: 'invalid_grant', error_description: 'Wrong user name or password.' },
    });
    expect(answers[1]).toEqual(answers[0]);
  });

  test.each([
    ['another grant', 'grant_type=client_credentials', 'unsupported_grant_type'],
    ['no grant', 'username=ada&password=x', 'invalid_request'],
    ['no password', 'grant_type=password&username=ada', 'invalid_request'],
    ['a parameter twice', 'grant_type=password&username=ada&username=eve&password=x', 'invalid_request'],
  ])('%s is refused as RFC 6749 says', async (_, form, error) => {
    const response = await testApp({ users }).app.request('/oauth/token', login(form));
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error });
  });

  test('a JSON body is refused', async () => {
    const { app } = testApp({ users });
    const response = await app.request('/oauth/token', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"grant_type":"password"}',
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: 'invalid_request' });
  });
});

describe('authorization', () => {
  const sign = (claims: Record<string, unknown>, secret: Uint8Array = key, alg = 'HS256') =>
    new SignJWT({ sub: 'ada', iss: 'kg-operator', aud: 'kg-api', iat: hour - 3600, ...claims })
      .setProtectedHeader({ alg })
      .sign(secret);
  const hour = Math.floor(Date.now() / 1000) + 3600;

  test.each([
    ['none', async () => ''],
    ['no JWT', async () => 'Bearer abc'],
    ['a token of another key', async () => `Bearer ${await sign({ exp: hour }, new Uint8Array(32))}`],
    ['an expired token', async () => `Bearer ${await sign({ exp: hour - 7200 })}`],
    ['a token without an end', async () => `Bearer ${await sign({})}`],
    ['another audience', async () => `Bearer ${await sign({ exp: hour, aud: 'other' })}`],
    ['another issuer', async () => `Bearer ${await sign({ exp: hour, iss: 'other' })}`],
    ['an unknown user', async () => `Bearer ${await sign({ exp: hour, sub: 'root' })}`],
    ['another algorithm', async () => `Bearer ${await sign({ exp: hour }, Buffer.alloc(64, key), 'HS512')}`],
    [
      'an unsigned token',
      async () => `Bearer ${btoa('{"alg":"none"}')}.${btoa(`{"sub":"ada","exp":${hour}}`)}.`,
    ],
  ])('%s is refused with 401', async (_, authorization) => {
    const { app } = testApp({ users });
    for (const path of ['/graph', '/config', '/nowhere']) {
      const response = await app.request(path, { headers: { authorization: await authorization() } });
      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toMatch(/^Bearer/);
      expect(await response.json()).toMatchObject({ error: { code: 'unauthorized' } });
    }
  });

  test('the same claims, rightly signed, are let in', async () => {
    const { app } = testApp({ users });
    const authorization = `Bearer ${await sign({ exp: hour })}`;
    expect((await app.request('/graph', { headers: { authorization } })).status).toBe(200);
    expect((await app.request('/nowhere', { headers: { authorization } })).status).toBe(404);
  });
});

describe('request bodies', () => {
  test.each([
    ['malformed JSON', '{', 400, 'invalid_json'],
    ['a missing field', {}, 400, 'invalid_body'],
    ['an unknown field', { name: 'A', colour: 'red' }, 400, 'invalid_body'],
    ['a blank name', { name: ' \n ' }, 400, 'invalid_body'],
    ['NUL', { name: 'a\0b' }, 400, 'invalid_body'],
    ['a lone surrogate', '{"name":"\\ud800"}', 400, 'invalid_body'],
    ['a name too long', { name: 'x'.repeat(201) }, 400, 'invalid_body'],
    ['a body over 64 KiB', { name: 'x'.repeat(64 * 1024) }, 413, 'body_too_large'],
  ])('%s', async (_, body, status, code) => {
    const response = await testApp({}).as('POST', '/concepts', body);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code, message: expect.any(String) } });
  });

  test('a body that is not JSON is refused with 415', async () => {
    const { app, token } = testApp({});
    const response = await app.request('/concepts', {
      method: 'POST',
      headers: { authorization: `Bearer ${await token()}`, 'content-type': 'text/plain' },
      body: '{"name":"A"}',
    });
    expect(response.status).toBe(415);
  });

  test.each(['/documents', '/extract'])(
    '%s takes texts up to documents.max-bytes, as UTF-8',
    async (path) => {
      const { as, configure, objects } = testApp({});
      configure(testConfig({}, { 'documents.max-bytes': 1000 }));
      expect((await as('POST', path, { title: 'T', text: 'é'.repeat(500) })).status).toBeLessThan(300);
      // However it is escaped.
      const escaped = `{"title":"T","text":"${'\\u0007'.repeat(1000)}"}`;
      expect((await as('POST', path, escaped)).status).toBeLessThan(300);
      const response = await as('POST', path, { title: 'T', text: 'é'.repeat(501) });
      expect(response.status).toBe(413);
      expect(await response.json()).toMatchObject({
        error: { code: 'text_too_long', limit: 1000, message: expect.stringMatching(/1002.*1000/) },
      });
      expect(objects.objects.size).toBe(2);
      // A body that can only be too long is not read.
      const body = await as('POST', path, { title: 'T', text: 'x'.repeat(80_000) });
      expect([body.status, await body.json()]).toMatchObject([413, { error: { code: 'body_too_large' } }]);
    },
  );
});

describe('concepts and relations', () => {
  test('names are written one way: 201 the first time, 200 then', async () => {
    const { as } = testApp({});
    const first = await as('POST', '/concepts', { name: '  Ada\n Lovelace ', description: 'wrote' });
    expect(first.status).toBe(201);
    expect(await first.json()).toEqual({ id: 'Ada Lovelace', name: 'Ada Lovelace', description: 'wrote' });
    const second = await as('POST', '/concepts', { name: 'Ada Lovelace' });
    expect(second.status).toBe(200);
    expect(await second.json()).toMatchObject({ description: 'wrote' });
  });

  test('a relation to nothing names what is missing', async () => {
    const { as } = testApp({});
    await as('POST', '/concepts', { name: 'A' });
    const response = await as('POST', '/relations', { from: 'A', to: 'B', type: 'knows' });
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({
      error: { code: 'concept_not_found', message: 'There is no concept named “B”.' },
    });
  });

  test.each(['0', '-1', 'ten', '5001', '1e3'])('GET /graph?limit=%s is refused', async (limit) => {
    expect((await testApp({}).as('GET', `/graph?limit=${limit}`)).status).toBe(400);
  });
});

describe('POST /extract', () => {
  const extraction = {
    concepts: [{ name: 'Ada' }, { name: 'Engine', description: 'analytical' }],
    relations: [{ from: 'Ada', to: 'Engine', type: 'wrote for' }],
  };

  test('stores the text, then what was found, and returns both', async () => {
    const graph = new MemoryGraph();
    const { as, objects } = testApp({ graph, extractor: { extract: async () => extraction } });
    const response = await as('POST', '/extract', { text: 'Ada wrote for the Engine.' });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      document: { title: 'Ada wrote for the Engine.', createdBy: 'ada' },
      concepts: [{ name: 'Ada' }, { name: 'Engine', description: 'analytical' }],
      relations: [{ from: 'Ada', to: 'Engine', type: 'wrote for' }],
      newConcepts: 2,
      newRelations: 1,
    });
    expect(objects.objects.size).toBe(1);
    expect(graph.nodes.size).toBe(2);
  });

  test('takes a stored document instead of a text', async () => {
    const seen: string[] = [];
    const { as, objects } = testApp({
      extractor: {
        extract: async (text) => {
          seen.push(text);
          return extraction;
        },
      },
    });
    const { id } = (await (await as('POST', '/documents', { title: 'T', text: 'the text' })).json()) as {
      id: string;
    };
    expect((await as('POST', '/extract', { documentId: id })).status).toBe(200);
    expect(seen).toEqual(['the text']);
    expect(objects.objects.size).toBe(1);
  });

  test('when the provider fails: 502, nothing in the graph, the text kept and named', async () => {
    const graph = new MemoryGraph();
    const { as, lines } = testApp({
      graph,
      extractor: {
        extract: async () => {
          throw new ProviderError('provider_busy', 'Later.', new Error(`key ${API_KEY}`));
        },
      },
    });
    const response = await as('POST', '/extract', { text: 'Ada.' });
    expect(response.status).toBe(502);
    const { error } = (await response.json()) as { error: { code: string; documentId: string } };
    expect(error).toMatchObject({ code: 'provider_busy', message: 'Later.' });
    expect((await as('GET', `/documents/${error.documentId}`)).status).toBe(200);
    expect(graph.nodes.size).toBe(0);
    expect(lines.join()).not.toContain(API_KEY);
  });

  test('when the server stops meanwhile: 503', async () => {
    const { as, shutdown } = testApp({
      extractor: {
        extract: (_, signal) =>
          new Promise((_, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason));
            shutdown.abort();
          }),
      },
    });
    const response = await as('POST', '/extract', { text: 'Ada.' });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { code: 'cancelled' } });
  });
});

describe('GET /ready', () => {
  const ok = { name: 'database', failure: 'no database', run: async () => {} };

  test('200 when everything answers', async () => {
    const response = await testApp({ probes: [ok] }).app.request('/ready');
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      ready: true,
      checks: [{ name: 'database', ok: true, message: 'ok' }],
    });
  });

  test('503 with the reason when something does not', async () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:3900'), { code: 'ECONNREFUSED' });
    const failing = {
      name: 'object store',
      failure: 'documents cannot be stored',
      run: () => Promise.reject(refused),
    };
    const response = await testApp({ probes: [ok, failing] }).app.request('/ready');
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({
      ready: false,
      checks: [
        { name: 'database', ok: true, message: 'ok' },
        { name: 'object store', ok: false, message: 'documents cannot be stored: ECONNREFUSED' },
      ],
    });
  });

  test('a probe that hangs is given up', async () => {
    jest.useFakeTimers();
    const hanging = { ...ok, run: () => new Promise<void>(() => {}) };
    const pending = testApp({ probes: [hanging] }).app.request('/ready');
    await jest.advanceTimersByTimeAsync(3_000);
    expect(await (await pending).json()).toMatchObject({
      ready: false,
      checks: [{ message: 'no database: no answer within 3 s' }],
    });
  });

  test('many requests at once are one round of probes', async () => {
    let runs = 0;
    const counting = {
      ...ok,
      run: async () => {
        runs += 1;
      },
    };
    const { app } = testApp({ probes: [counting] });
    await Promise.all(Array.from({ length: 20 }, () => app.request('/ready')));
    expect(runs).toBe(1);
  });
});

test('GET /config shows no secret', async () => {
  const options = { temperature: 0.2, concurrency: 3 };
  const config = testConfig({ baseUrl: 'https://user:hidden-password@ai.example/v1', options });
  config.previousSigningKey = { key: new Secret('cd'.repeat(32)), until: null };
  const response = await testApp({ config }).as('GET', '/config');
  const text = await response.text();
  expect(JSON.parse(text)).toEqual({
    version: '1',
    ai: { provider: 'openai', model: 'gpt-test', baseUrl: 'https://ai.example/v1', options },
    embedding: { provider: 'local', model: 'test', dimensions: 8, baseUrl: null, precision: 'float32' },
    objectStore: { endpoint: 'http://garage:3900', region: 'garage', bucket: 'documents' },
    settings: config.settings,
  });
  for (const secret of [API_KEY, 'secret-access-key', 'hidden-password', 'cd'.repeat(32)])
    expect(text).not.toContain(secret);
});

test('the log has method, path and status, no query, body or token; probes that pass are not logged', async () => {
  const { app, as, lines } = testApp({ users, probes: [] });
  await as('GET', '/graph?limit=7');
  await app.request(
    '/oauth/token',
    login({ grant_type: 'password', username: 'ada', password: 'correct horse battery' }),
  );
  await app.request('/health');
  await app.request('/ready');
  const entries = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(entries).toEqual([
    expect.objectContaining({ message: 'request', method: 'GET', path: '/graph', status: 200 }),
    expect.objectContaining({ message: 'request', method: 'POST', path: '/oauth/token', status: 200 }),
  ]);
  expect(lines.join()).not.toMatch(/limit|horse|Bearer|eyJ/);
});

test('an unexpected error answers 500 without its text, and its text goes to the log without the key', async () => {
  const graph = new MemoryGraph();
  graph.view = async () => {
    throw new Error(`relation "x" does not exist ${API_KEY}`);
  };
  const { as, lines } = testApp({ graph });
  const response = await as('GET', '/graph');
  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain('relation');
  expect(lines.join()).toContain('relation \\"x\\" does not exist [redacted]');
});

test('a signing key of another form is refused', () => {
  for (const value of ['short', 'zz'.repeat(32), `${SIGNING_KEY}00`]) {
    expect(() => signingKeys(new Secret(value), null)).toThrow(SigningKeyInvalid);
  }
});
