import { describe, expect, test } from '@jest/globals';
import { newClaimToken } from '@kg-operator/config';
import { LoginAttempts } from '../../src/login-attempts.ts';
import { testApp, testConfig } from '../fakes.ts';

const TOKEN = newClaimToken().reveal();
const PASSWORD = 'nine quiet herons';
const nobody = { ...testConfig(), users: [] };
const admin = { username: 'admin', role: 'admin' as const, disabled: false, passwordSetAt: new Date(0) };

type App = ReturnType<typeof testApp>['app'];

function claim(app: App, body: unknown, contentType = 'application/json') {
  return app.request('/claim', {
    method: 'POST',
    headers: { 'content-type': contentType },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

/** All of an answer that a visitor sees. */
async function seen(response: Response) {
  return [response.status, [...response.headers].sort(), await response.text()];
}

describe('POST /claim', () => {
  test('with the token: an admin, who is logged in as soon as the configuration has taken it up', async () => {
    const { app, claims, configure } = testApp({ config: nobody });
    claims.token = TOKEN;
    const waiting = claim(app, { token: TOKEN, password: PASSWORD });
    setTimeout(() => configure({ ...nobody, users: [admin] }), 100);
    const response = await waiting;
    expect(response.status).toBe(200);
    const { access_token, token_type } = (await response.json()) as Record<string, string>;
    expect(token_type).toBe('Bearer');
    expect(claims.made).toEqual(['admin']);
    const authorization = `Bearer ${access_token}`;
    expect((await app.request('/config', { headers: { authorization } })).status).toBe(200);
  });

  test('without it the same answer to the byte, headers included, claimed or not', async () => {
    const answers = new Set<string>();
    for (const [token, config] of [
      [null, nobody],
      [TOKEN, nobody],
      [null, testConfig()],
    ] as const) {
      for (const given of [
        '',
        'x',
        newClaimToken().reveal(),
        `${TOKEN} `,
        TOKEN.toLowerCase(),
        'ü'.repeat(500),
      ])
        for (const password of [PASSWORD, 'short', '']) {
          const { app, claims } = testApp({ config });
          claims.token = token;
          answers.add(
            JSON.stringify(await seen(await claim(app, { token: given, username: 'admin', password }))),
          );
        }
    }
    expect([...answers]).toHaveLength(1);
    expect([...answers][0]).toContain('"code\\":\\"claim_refused');
  });

  test.each([
    [{ password: 'short' }, 'password_refused'],
    [{ password: 'password1234' }, 'password_refused'],
    [{ username: 'Ada Lovelace', password: PASSWORD }, 'username_refused'],
    [{ username: 'taken', password: PASSWORD }, 'username_taken'],
  ])('with it %j is told what is wrong, and the token still counts', async (body, code) => {
    const { app, claims } = testApp({ config: nobody });
    claims.token = TOKEN;
    const response = await claim(app, { token: TOKEN, ...body });
    expect([response.status, await response.json()]).toMatchObject([422, { error: { code } }]);
    expect(claims.token).toBe(TOKEN);
    expect(claims.made).toEqual([]);
  });

  test.each([
    ['text/plain', '{}', 415],
    ['application/json', 'not JSON', 400],
    ['application/json', { token: TOKEN }, 400],
    ['application/json', { token: TOKEN, password: PASSWORD, role: 'admin' }, 400],
    ['application/json', { token: TOKEN, password: 'x'.repeat(20_000) }, 413],
  ])('%s %j is not looked at: %i', async (type, body, status) => {
    const { app, claims } = testApp({ config: nobody });
    claims.token = TOKEN;
    const length = String(Buffer.byteLength(JSON.stringify(body)));
    const response = await app.request('/claim', {
      method: 'POST',
      headers: { 'content-type': type, 'content-length': length },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    expect(response.status).toBe(status);
    expect(claims.looks).toBe(0);
  });

  test('guessing: after as many as are allowed 429 with Retry-After, claim or not, the right token or not', async () => {
    const config = { ...testConfig({}, { 'auth.login-attempts': 3 }), users: [] };
    const answers: unknown[] = [];
    for (const token of [null, TOKEN]) {
      let now = 1_000_000;
      const { app, claims, configure } = testApp({ config, claimAttempts: new LoginAttempts(() => now) });
      claims.token = token;
      for (let i = 0; i < 3; i += 1)
        expect((await claim(app, { token: newClaimToken().reveal(), password: PASSWORD })).status).toBe(403);
      now += 15_000;
      const looks = claims.looks;
      answers.push(await seen(await claim(app, { token: TOKEN, password: PASSWORD })));
      expect(claims.looks).toBe(looks);
      now += 45_000;
      configure({ ...config, users: [admin] });
      expect((await claim(app, { token: TOKEN, password: PASSWORD })).status).toBe(token ? 200 : 403);
    }
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]).toMatchObject([
      429,
      expect.arrayContaining([['retry-after', '45']]),
      expect.stringContaining('45 s'),
    ]);
  });

  test('a password that is refused is no guess', async () => {
    const config = { ...testConfig({}, { 'auth.login-attempts': 1 }), users: [] };
    const { app, claims } = testApp({ config });
    claims.token = TOKEN;
    for (let i = 0; i < 3; i += 1)
      expect((await claim(app, { token: TOKEN, password: 'short' })).status).toBe(422);
  });

  test('nothing of it is in the log, and no other answer changes with a claim', async () => {
    const others = async ({ app }: ReturnType<typeof testApp>) =>
      Promise.all(
        ['/health', '/ready', '/site', '/config', '/versions', '/claim'].map(async (path) =>
          seen(await app.request(path)),
        ),
      );
    const open = testApp({ config: nobody });
    open.claims.token = TOKEN;
    expect(await others(open)).toEqual(await others(testApp({ config: testConfig() })));
    await claim(open.app, { token: TOKEN, password: 'short' });
    const waiting = claim(open.app, { token: TOKEN, username: 'marie', password: PASSWORD });
    open.configure({ ...nobody, users: [{ ...admin, username: 'marie' }] });
    expect((await waiting).status).toBe(200);
    const log = open.lines.join('');
    expect(log).toContain('"path":"/claim"');
    for (const secret of [TOKEN, PASSWORD, 'marie', 'short']) expect(log).not.toContain(secret);
  });
});
