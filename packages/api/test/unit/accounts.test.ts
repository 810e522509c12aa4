import { describe, expect, test } from '@jest/globals';
import { hashPassword, Secret } from '@kg-operator/config';
import { decodeProtectedHeader } from 'jose';
import { createAuth } from '../../src/auth.ts';
import { LoginAttempts, TooManyAttempts } from '../../src/login-attempts.ts';
import { signingKeys } from '../../src/signing-keys.ts';
import { MemoryUsers, SIGNING_KEY, testApp, testConfig } from '../fakes.ts';

const PASSWORD = 'correct horse battery';
const ada = {
  username: 'ada',
  passwordHash: await hashPassword(PASSWORD),
  disabled: false,
  passwordSetAt: new Date(0),
};

describe('failed logins', () => {
  const right = async () => 'ok';
  const wrong = async () => null;

  test('after as many as are allowed the name waits out the minute, other names do not', async () => {
    let now = 1_000_000;
    const attempts = new LoginAttempts(() => now);
    for (let i = 0; i < 3; i += 1) expect(await attempts.attempt('ada', 3, wrong)).toBeNull();
    now += 15_500;
    const refused = attempts.attempt('ada', 3, right);
    await expect(refused).rejects.toThrow(TooManyAttempts);
    await expect(refused).rejects.toMatchObject({ retryAfter: 45 });
    expect(await attempts.attempt('bea', 3, right)).toBe('ok');
    now += 44_500;
    expect(await attempts.attempt('ada', 3, right)).toBe('ok');
  });

  test('one that succeeds forgets those before', async () => {
    const attempts = new LoginAttempts();
    for (let round = 0; round < 3; round += 1) {
      expect(await attempts.attempt('ada', 2, wrong)).toBeNull();
      expect(await attempts.attempt('ada', 2, right)).toBe('ok');
    }
  });

  test('many at once get no more tries than one after another', async () => {
    const attempts = new LoginAttempts();
    let tried = 0;
    const all = await Promise.allSettled(
      Array.from({ length: 50 }, () =>
        attempts.attempt('ada', 5, async () => {
          tried += 1;
          await new Promise((resolve) => setImmediate(resolve));
          return null;
        }),
      ),
    );
    expect(tried).toBe(5);
    expect(all.filter(({ status }) => status === 'rejected')).toHaveLength(45);
  });

  test('many at once that are right all get in', async () => {
    const attempts = new LoginAttempts();
    const all = await Promise.all(Array.from({ length: 20 }, () => attempts.attempt('ada', 1, right)));
    expect(all).toEqual(Array(20).fill('ok'));
  });

  test('a login that could not be tried is no failed one', async () => {
    const attempts = new LoginAttempts();
    for (let i = 0; i < 3; i += 1)
      await expect(attempts.attempt('ada', 1, () => Promise.reject(new Error('down')))).rejects.toThrow(
        'down',
      );
    expect(await attempts.attempt('ada', 1, right)).toBe('ok');
  });

  test('memory is bounded: of very many names the oldest is forgotten', async () => {
    const attempts = new LoginAttempts();
    for (let i = 0; i <= 10_000; i += 1) await attempts.attempt(`name${i}`, 1, wrong);
    expect(await attempts.attempt('name0', 1, right)).toBe('ok');
    await expect(attempts.attempt('name1', 1, right)).rejects.toThrow(TooManyAttempts);
  });

  test('over HTTP: 429 with Retry-After, whether there is such a user or not', async () => {
    const { app } = testApp({ users: [ada], config: testConfig({}, { 'auth.login-attempts': 2 }) });
    const login = (username: string, password: string) =>
      app.request('/oauth/token', {
        method: 'POST',
        body: new URLSearchParams({ grant_type: 'password', username, password }),
      });
    for (const username of ['ada', 'nobody']) {
      for (let i = 0; i < 2; i += 1) expect((await login(username, 'wrong')).status).toBe(400);
      const refused = await login(` ${username.toUpperCase()}`, PASSWORD);
      expect(refused.status).toBe(429);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50);
      expect(await refused.json()).toMatchObject({ error: 'temporarily_unavailable' });
    }
  });

  test('names and passwords that nobody can have cost no look into the database', async () => {
    const users = new MemoryUsers([ada]);
    const { createAccounts } = await import('../../src/accounts.ts');
    const accounts = createAccounts(users);
    expect(await accounts.login('a'.repeat(64), PASSWORD, 1)).toBeNull();
    expect(await accounts.login('ada', 'x'.repeat(1025), 1)).toBeNull();
    expect(users.finds).toBe(0);
    expect(await accounts.login('ada', PASSWORD, 1)).toMatchObject({ username: 'ada' });
  });
});

describe('a configuration in force that is older than the database', () => {
  const body = new URLSearchParams({ grant_type: 'password', username: 'bea', password: PASSWORD });
  const logIn = (app: ReturnType<typeof testApp>['app']) =>
    app.request('/oauth/token', { method: 'POST', body });
  const bea = { ...ada, username: 'bea' };
  const admitted = { username: 'bea', role: 'user' as const, disabled: false, passwordSetAt: new Date(0) };

  test('a login waits until it admits the user', async () => {
    const { app, configure } = testApp({ users: [bea] });
    const waiting = logIn(app);
    setTimeout(() => configure({ ...testConfig(), users: [admitted] }), 200);
    const response = await waiting;
    expect(response.status).toBe(200);
    const { access_token } = (await response.json()) as { access_token: string };
    const authorization = `Bearer ${access_token}`;
    expect((await app.request('/graph', { headers: { authorization } })).status).toBe(200);
  });

  test('and says so when that does not come', async () => {
    const response = await logIn(testApp({ users: [bea] }).app);
    expect([response.status, await response.json()]).toMatchObject([
      503,
      { error: { code: 'configuration_stale' } },
    ]);
  });

  test('a password that is newer there is no hindrance', async () => {
    const users = [{ ...bea, passwordSetAt: new Date() }];
    const { app } = testApp({ users, config: { ...testConfig(), users: [admitted] } });
    const { access_token } = (await (await logIn(app)).json()) as { access_token: string };
    const authorization = `Bearer ${access_token}`;
    expect((await app.request('/graph', { headers: { authorization } })).status).toBe(200);
  });
});

describe('POST /password', () => {
  test.each([
    [{ current: 'wrong', new: 'a password of my own' }, 400, 'wrong_password'],
    [{ current: PASSWORD, new: 'short' }, 400, 'password_refused'],
    [{ current: PASSWORD, new: 'password1234' }, 400, 'password_refused'],
    [{ current: PASSWORD }, 400, 'invalid_body'],
  ])('%j: %i %s', async (body, status, code) => {
    const response = await testApp({ users: [ada] }).as('POST', '/password', body);
    expect([response.status, await response.json()]).toMatchObject([status, { error: { code } }]);
  });

  test('wrong current passwords count as failed logins', async () => {
    const { as } = testApp({ users: [ada], config: testConfig({}, { 'auth.login-attempts': 1 }) });
    const body = { current: 'wrong', new: 'a password of my own' };
    expect((await as('POST', '/password', body)).status).toBe(400);
    const refused = await as('POST', '/password', { ...body, current: PASSWORD });
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
  });
});

describe('signing keys', () => {
  const other = 'cd'.repeat(32);
  const users = [{ username: 'ada', role: 'admin' as const, disabled: false, passwordSetAt: new Date(0) }];
  const auth = (key: string, previous?: { key: string; until: Date | null }, now = Date.now) =>
    createAuth({
      users,
      keys: signingKeys(
        new Secret(key),
        previous ? { key: new Secret(previous.key), until: previous.until } : null,
        now,
      ),
      tokenLifetime: 3600,
    });

  test('tokens name their key; the one before is accepted until its end, and never signs', async () => {
    const old = (await auth(SIGNING_KEY).issueToken(ada)).access_token;
    const until = new Date(Date.now() + 1000);
    const during = auth(other, { key: SIGNING_KEY, until });
    expect(await during.verifyToken(old)).toEqual({ username: 'ada', role: 'admin' });
    const fresh = (await during.issueToken(ada)).access_token;
    expect(decodeProtectedHeader(fresh).kid).not.toBe(decodeProtectedHeader(old).kid);
    expect(await auth(other).verifyToken(fresh)).toEqual({ username: 'ada', role: 'admin' });
    expect(await auth(SIGNING_KEY).verifyToken(fresh)).toBeNull();
    const after = auth(other, { key: SIGNING_KEY, until }, () => until.getTime());
    expect(await after.verifyToken(old)).toBeNull();
    expect(await auth(other, { key: SIGNING_KEY, until: null }).verifyToken(old)).not.toBeNull();
  });

  test('a password set in the same second as the token was issued ends it', async () => {
    const passwordSetAt = new Date();
    const { access_token } = await auth(SIGNING_KEY).issueToken({ username: 'ada', passwordSetAt });
    const keys = signingKeys(new Secret(SIGNING_KEY), null);
    const later = (ms: number) =>
      createAuth({
        users: [
          {
            username: 'ada',
            role: 'user',
            disabled: false,
            passwordSetAt: new Date(passwordSetAt.getTime() + ms),
          },
        ],
        keys,
        tokenLifetime: 60,
      });
    expect(await later(0).verifyToken(access_token)).toEqual({ username: 'ada', role: 'user' });
    expect(await later(50).verifyToken(access_token)).toBeNull();
    // The configuration in force may be older than the login.
    expect(await later(-50).verifyToken(access_token)).not.toBeNull();
  });
});
