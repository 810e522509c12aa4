import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

export const CONSOLE_PORT = 8090;

/** Signatures are checked for each answer; whoever asks in a loop gets the last one. */
const FRESH_MS = 2000;
const REQUEST_MS = 5000;
const MOST_CONNECTIONS = 64;

const HEADERS = {
  'content-type': 'application/json; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

/** Answers `GET /versions` with what `versions` returns, and `GET /health` while it lives; knows nothing else. Not listening yet. */
export function consoleServer(versions: () => Promise<unknown>, report: (error: unknown) => void): Server {
  let last: { at: number; value: Promise<unknown> } | null = null;
  const fresh = () => {
    if (!last || performance.now() - last.at > FRESH_MS) last = { at: performance.now(), value: versions() };
    return last.value;
  };
  const server = createServer(
    { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS },
    (request, response) => {
      answerTo(request, fresh)
        .catch((error) => {
          report(error);
          last = null;
          return { status: 500, body: problem('INTERNAL', 'see the log of console') };
        })
        .then((answer) => send(request, response, answer));
    },
  );
  server.maxConnections = MOST_CONNECTIONS;
  return server;
}

interface Answer {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
}

async function answerTo(
  { method, url = '' }: IncomingMessage,
  versions: () => Promise<unknown>,
): Promise<Answer> {
  const [path] = url.split('?');
  if (path !== '/versions' && path !== '/health')
    return { status: 404, body: problem('NOT_FOUND', 'there are /versions and /health') };
  if (method !== 'GET' && method !== 'HEAD')
    return {
      status: 405,
      body: problem('METHOD_NOT_ALLOWED', 'only GET and HEAD'),
      headers: { allow: 'GET, HEAD' },
    };
  return { status: 200, body: path === '/health' ? { status: 'ok' } : await versions() };
}

function send(
  { method }: IncomingMessage,
  response: ServerResponse,
  { status, body, headers }: Answer,
): void {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, { ...HEADERS, ...headers, 'content-length': Buffer.byteLength(text) });
  response.end(method === 'HEAD' ? undefined : text);
}

const problem = (code: string, message: string) => ({ error: { code, message } });
