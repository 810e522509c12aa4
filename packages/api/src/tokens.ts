import { Hono } from 'hono';
import type { AppDependencies, Environment } from './app.ts';
import { ApiError } from './errors.ts';
import { jsonBody, passwordBody } from './input.ts';
import { TooManyAttempts } from './login-attempts.ts';

/** The database, which a login asks, may be a second ahead of the configuration in force. */
export const TAKE_UP_MS = 3_000;

/** `POST /oauth/token`. RFC 6749: the request in 4.3.2, the answer in 5.1, its errors in 5.2. */
export function tokenEndpoint(deps: AppDependencies): Hono<Environment> {
  const app = new Hono<Environment>();
  app.post('/oauth/token', async (c) => {
    const { auth, config } = c.var.now;
    c.header('Pragma', 'no-cache');
    if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(c.req.header('content-type') ?? '')) {
      return c.json(oauthError('invalid_request', 'Send application/x-www-form-urlencoded.'), 400);
    }
    const form = new URLSearchParams(await c.req.text());
    const one = (name: string) => (form.getAll(name).length === 1 ? (form.get(name) ?? '') : '');
    const grant = one('grant_type');
    if (!grant) return c.json(oauthError('invalid_request', 'grant_type is needed, once.'), 400);
    if (grant !== 'password') {
      return c.json(
        oauthError('unsupported_grant_type', 'Only the grant type "password" is supported.'),
        400,
      );
    }
    const [username, password] = [one('username'), one('password')];
    if (!username || !password) {
      return c.json(oauthError('invalid_request', 'username and password are needed, once each.'), 400);
    }
    try {
      const user = await deps.accounts.login(username, password, config.settings['auth.login-attempts']);
      if (!user) return c.json(oauthError('invalid_grant', 'Wrong user name or password.'), 400);
      // Someone who was created or enabled just now: until then the token would be refused.
      if (!(await deps.inForce.waitFor((now) => now.auth.admits(user.username), TAKE_UP_MS))) {
        throw new ApiError(
          503,
          'configuration_stale',
          'The newest configuration, and this user with it, is not in force yet. Try again in a moment.',
        );
      }
      return c.json(await auth.issueToken(user));
    } catch (error) {
      if (!(error instanceof TooManyAttempts)) throw error;
      c.header('Retry-After', String(error.retryAfter));
      const description = `Too many failed logins for this user name. Try again in ${error.retryAfter} s.`;
      return c.json(oauthError('temporarily_unavailable', description), 429);
    }
  });
  return app;
}

/** `POST /password`: one's own. All tokens until then end; the answer has a new one. */
export function passwordEndpoint(deps: AppDependencies): Hono<Environment> {
  const app = new Hono<Environment>();
  app.post('/password', async (c) => {
    const { auth, config } = c.var.now;
    const { username } = c.var.identity;
    const body = await jsonBody(c, passwordBody);
    const limit = config.settings['auth.login-attempts'];
    try {
      const user = await deps.accounts.changePassword(username, body.current, body.new, limit);
      // The new token is good at once. If this takes longer, the old ones end later; the password is changed all the same.
      await deps.inForce.waitFor((now) => now.auth.refusesBefore(user), TAKE_UP_MS);
      return c.json(await auth.issueToken(user));
    } catch (error) {
      if (!(error instanceof TooManyAttempts)) throw error;
      c.header('Retry-After', String(error.retryAfter));
      throw new ApiError(
        429,
        'too_many_attempts',
        `Too many wrong passwords. Try again in ${error.retryAfter} s.`,
      );
    }
  });
  return app;
}

function oauthError(error: string, description: string) {
  return { error, error_description: description };
}
