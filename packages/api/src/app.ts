import { type Context, Hono, type MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { HTTPException } from 'hono/http-exception';
import type { Accounts } from './accounts.ts';
import type { Identity } from './auth.ts';
import { claimEndpoint } from './claim-endpoint.ts';
import type { Claims } from './claims.ts';
import { ApiError, type ErrorStatus } from './errors.ts';
import { ConceptMissing, type Graph } from './graph.ts';
import type { InForce } from './in-force.ts';
import { MAX_BODY, MAX_LOGIN_BODY, maxDocumentBody } from './input.ts';
import { describeError, type Log } from './log.ts';
import { publicConfig } from './public-config.ts';
import type { Readiness } from './ready.ts';
import { resources } from './resources.ts';
import type { Snapshot } from './snapshot.ts';
import { passwordEndpoint, tokenEndpoint } from './tokens.ts';

export interface AppDependencies {
  version: string;
  inForce: InForce<Snapshot>;
  accounts: Accounts;
  claims: Claims;
  graph: Graph;
  ready: () => Promise<Readiness>;
  log: Log;
  /** Aborted when the process ends: calls to the AI provider end with it. */
  shutdown: AbortSignal;
}

/** `now`: the configuration of this request from its beginning to its end. */
export type Environment = { Variables: { now: Snapshot; identity: Identity } };

/** The HTTP API, composed of its parts; it opens nothing itself. */
export function createApp(deps: AppDependencies): Hono<Environment> {
  const { inForce, log } = deps;
  const app = new Hono<Environment>();

  app.use(async (c, next) => {
    const started = performance.now();
    await next();
    c.header('Cache-Control', 'no-store');
    c.header('X-Content-Type-Options', 'nosniff');
    const isProbe = c.req.path === '/health' || c.req.path === '/ready';
    if (isProbe && c.res.ok) return;
    log(c.res.status >= 500 ? 'error' : 'info', 'request', {
      method: c.req.method,
      path: c.req.path.slice(0, 200),
      status: c.res.status,
      ms: Math.round(performance.now() - started),
    });
  });

  app.get('/health', (c) => c.json({ status: 'ok', version: deps.version }));
  app.get('/ready', async (c) => {
    const result = await deps.ready();
    return c.json(result, result.ready ? 200 : 503);
  });

  app.use((c, next) =>
    inForce.use(async (snapshot) => {
      c.set('now', snapshot);
      await next();
    }),
  );
  app.get('/site', (c) => {
    const { settings } = c.var.now.config;
    return c.json({ title: settings['web.title'], maxDocumentBytes: settings['documents.max-bytes'] });
  });
  for (const path of ['/oauth/token', '/claim'])
    app.use(
      path,
      limitBody(() => MAX_LOGIN_BODY),
    );
  app.route('/', tokenEndpoint(deps));
  app.route('/', claimEndpoint(deps));

  // Registered here: everything below wants a token, unknown paths included.
  app.use(async (c, next) => {
    const [, token] = /^Bearer ([^\s]+)$/i.exec(c.req.header('authorization') ?? '') ?? [];
    const identity = token ? await c.var.now.auth.verifyToken(token) : null;
    if (!identity) {
      c.header('WWW-Authenticate', token ? 'Bearer error="invalid_token"' : 'Bearer');
      const message = token ? 'The access token is invalid or has expired.' : 'An access token is needed.';
      return c.json({ error: { code: 'unauthorized', message } }, 401);
    }
    c.set('identity', identity);
    return next();
  });
  app.use(limitBody(maxBodyOf));

  app.get('/config', (c) => {
    if (c.var.identity.role !== 'admin') throw new ApiError(403, 'forbidden', 'This is for admins.');
    return c.json(publicConfig(c.var.now.config));
  });
  app.route('/', passwordEndpoint(deps));
  app.route('/', resources(deps));

  app.notFound((c) => c.json({ error: { code: 'not_found', message: 'There is no such resource.' } }, 404));
  app.onError((error, c) => {
    const known = asApiError(error);
    if (!known) log('error', 'unexpected error', describeError(error));
    const { status, code, message, details } = known ?? UNEXPECTED;
    return c.json({ error: { code, message, ...details } }, status);
  });
  return app;
}

function limitBody(maxOf: (c: Context<Environment>) => number): MiddlewareHandler<Environment> {
  return (c, next) => {
    const maxSize = maxOf(c);
    const onError = () => {
      throw new ApiError(413, 'body_too_large', `The body is larger than ${maxSize} bytes.`, {
        limit: maxSize,
      });
    };
    return bodyLimit({ maxSize, onError })(c, next);
  };
}

function maxBodyOf(c: Context<Environment>): number {
  const carriesDocument = c.req.path === '/documents' || c.req.path === '/extract';
  return carriesDocument ? maxDocumentBody(c.var.now.config.settings['documents.max-bytes']) : MAX_BODY;
}

const UNEXPECTED = {
  status: 500 as ErrorStatus,
  code: 'internal',
  message: 'Something went wrong on our side. The log of the API says more.',
  details: {},
};

function asApiError(error: Error): ApiError | undefined {
  if (error instanceof ApiError) return error;
  if (error instanceof ConceptMissing) {
    return new ApiError(
      404,
      'concept_not_found',
      `There is no concept named ${error.concepts.map((name) => `“${name}”`).join(' or ')}.`,
    );
  }
  if (error instanceof HTTPException && error.status < 500) {
    return new ApiError(400, 'bad_request', 'The request could not be read.');
  }
  return undefined;
}
