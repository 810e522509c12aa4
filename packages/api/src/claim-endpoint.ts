import { Secret } from '@kg-operator/config';
import { Hono } from 'hono';
import type { AppDependencies, Environment } from './app.ts';
import { ApiError } from './errors.ts';
import { claimBody, jsonBody } from './input.ts';
import { TooManyAttempts } from './login-attempts.ts';
import { TAKE_UP_MS } from './tokens.ts';

/**
 * `POST /claim`: makes the first admin, and logs in. It is always there, and to anyone without the token it always says the same: whether
 * the platform was claimed, or could be, shows nowhere.
 */
export function claimEndpoint(deps: AppDependencies): Hono<Environment> {
  const app = new Hono<Environment>();
  app.post('/claim', async (c) => {
    const { auth, config } = c.var.now;
    const body = await jsonBody(c, claimBody);
    const claim = {
      token: new Secret(body.token),
      username: body.username,
      password: new Secret(body.password),
    };
    try {
      const user = await deps.claims.claim(claim, config.settings['auth.login-attempts']);
      if (!user) {
        throw new ApiError(
          403,
          'claim_refused',
          'This token does not count (any more). On the host: ./operator.sh config claim',
        );
      }
      if (!(await deps.inForce.waitFor((now) => now.auth.admits(user.username), TAKE_UP_MS))) {
        throw new ApiError(
          503,
          'configuration_stale',
          'The admin is made, and not in force yet. Log in in a moment.',
        );
      }
      return c.json(await auth.issueToken(user));
    } catch (error) {
      if (!(error instanceof TooManyAttempts)) throw error;
      c.header('Retry-After', String(error.retryAfter));
      const message = `Too many tokens were refused. Try again in ${error.retryAfter} s.`;
      throw new ApiError(429, 'too_many_attempts', message);
    }
  });
  return app;
}
