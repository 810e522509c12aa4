import type { PlatformConfig } from '@kg-operator/config';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { HTTPException } from 'hono/http-exception';
import { type Auth, type Identity, TOKEN_LIFETIME } from './auth.ts';
import type { Documents } from './documents.ts';
import { ApiError, type ErrorStatus } from './errors.ts';
import { type Extractor, ProviderError } from './extract/index.ts';
import { ConceptMissing, type Graph } from './graph.ts';
import {
  conceptBody,
  documentBody,
  extractBody,
  jsonBody,
  limitParameter,
  MAX_BODY,
  oneLine,
  relationBody,
} from './input.ts';
import { describeError, type Log } from './log.ts';
import type { Readiness } from './ready.ts';

export interface AppDependencies {
  version: string;
  config: PlatformConfig;
  auth: Auth;
  graph: Graph;
  documents: Documents;
  extractor: Extractor;
  ready: () => Promise<Readiness>;
  log: Log;
  /** Aborted when the process ends: calls to the AI provider end with it. */
  shutdown: AbortSignal;
}

type Environment = { Variables: { identity: Identity } };

/** The HTTP API, composed of its parts; it opens nothing itself. */
export function createApp(deps: AppDependencies): Hono<Environment> {
  const { auth, graph, documents, log } = deps;
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
  app.use(
    bodyLimit({
      maxSize: MAX_BODY,
      onError: () => {
        throw new ApiError(413, 'body_too_large', `The body is larger than ${MAX_BODY} bytes.`, {
          limit: MAX_BODY,
        });
      },
    }),
  );

  app.get('/health', (c) => c.json({ status: 'ok', version: deps.version }));
  app.get('/ready', async (c) => {
    const result = await deps.ready();
    return c.json(result, result.ready ? 200 : 503);
  });

  // RFC 6749: the request in 4.3.2, the answer in 5.1, its errors in 5.2.
  app.post('/oauth/token', async (c) => {
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
    const identity = await auth.login(username, password);
    if (!identity) return c.json(oauthError('invalid_grant', 'Wrong user name or password.'), 400);
    return c.json({
      access_token: await auth.issueToken(identity),
      token_type: 'Bearer',
      expires_in: TOKEN_LIFETIME,
    });
  });

  // Registered here: everything below wants a token, unknown paths included.
  app.use(async (c, next) => {
    const [, token] = /^Bearer ([^\s]+)$/i.exec(c.req.header('authorization') ?? '') ?? [];
    const identity = token ? await auth.verifyToken(token) : null;
    if (!identity) {
      c.header('WWW-Authenticate', token ? 'Bearer error="invalid_token"' : 'Bearer');
      const message = token ? 'The access token is invalid or has expired.' : 'An access token is needed.';
      return c.json({ error: { code: 'unauthorized', message } }, 401);
    }
    c.set('identity', identity);
    return next();
  });

  app.get('/config', (c) => c.json(publicConfig(deps.config)));

  app.get('/graph', async (c) => c.json(await graph.view(limitParameter(c, { fallback: 300, max: 2000 }))));
  app.get('/concepts', async (c) =>
    c.json({ concepts: await graph.concepts(limitParameter(c, { fallback: 1000, max: 10_000 })) }),
  );
  app.post('/concepts', async (c) => {
    const { concepts, newConcepts } = await graph.add([await jsonBody(c, conceptBody)], []);
    return c.json(concepts[0], newConcepts > 0 ? 201 : 200);
  });
  app.post('/relations', async (c) => {
    const { relations, newRelations } = await graph.add([], [await jsonBody(c, relationBody)]);
    return c.json(relations[0], newRelations > 0 ? 201 : 200);
  });

  app.get('/documents', async (c) =>
    c.json({ documents: await documents.list(limitParameter(c, { fallback: 100, max: 1000 })) }),
  );
  app.post('/documents', async (c) => {
    const { title, text } = await jsonBody(c, documentBody);
    return c.json(await documents.create(title, text, c.var.identity.username), 201);
  });
  app.get('/documents/:id', async (c) => c.json(await documents.read(c.req.param('id'))));

  app.post('/extract', async (c) => {
    const body = await jsonBody(c, extractBody);
    // The text is stored first: an answer of the provider can be had again, the user's text maybe not.
    const document =
      'documentId' in body
        ? await documents.read(body.documentId)
        : {
            ...(await documents.create(body.title ?? titleOf(body.text), body.text, c.var.identity.username)),
            text: body.text,
          };
    const { text, ...stored } = document;
    const signal = AbortSignal.any([c.req.raw.signal, deps.shutdown]);
    try {
      const { concepts, relations } = await deps.extractor.extract(text, signal);
      return c.json({ document: stored, ...(await graph.add(concepts, relations)) });
    } catch (error) {
      if (signal.aborted) {
        throw new ApiError(503, 'cancelled', 'Reading the text was cut short. Try again in a moment.', {
          documentId: stored.id,
        });
      }
      if (error instanceof ProviderError) {
        log('warn', 'provider call failed', { code: error.code, cause: causeOf(error) });
        throw new ApiError(502, error.code, error.message, { documentId: stored.id });
      }
      throw error;
    }
  });

  app.notFound((c) => c.json({ error: { code: 'not_found', message: 'There is no such resource.' } }, 404));
  app.onError((error, c) => {
    const known = asApiError(error);
    if (!known) log('error', 'unexpected error', describeError(error));
    const { status, code, message, details } = known ?? UNEXPECTED;
    return c.json({ error: { code, message, ...details } }, status);
  });
  return app;
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

function oauthError(error: string, description: string) {
  return { error, error_description: description };
}

/** What the log tells of a provider's failure: kind and status. What the provider wrote may quote the key or the text. */
function causeOf({ cause }: ProviderError): string {
  if (!(cause instanceof Error)) return String(cause);
  const { status } = cause as { status?: unknown };
  return status === undefined ? cause.name : `${cause.name} ${status}`;
}

function titleOf(text: string): string {
  const line = oneLine(text);
  return line.length <= 60 ? line : `${line.slice(0, 59).toWellFormed()}…`;
}

function publicConfig({ ai, embedding, objectStore }: PlatformConfig) {
  return {
    ai: { provider: ai.provider, model: ai.model, baseUrl: ai.baseUrl && withoutUserinfo(ai.baseUrl) },
    embedding,
    objectStore: {
      endpoint: withoutUserinfo(objectStore.endpoint),
      region: objectStore.region,
      bucket: objectStore.bucket,
    },
  };
}

function withoutUserinfo(address: string): string {
  if (!URL.canParse(address)) return address;
  const url = new URL(address);
  if (!url.username && !url.password) return address;
  url.username = '';
  url.password = '';
  return url.href;
}
