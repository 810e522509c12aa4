import { readdir, readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { extname, join } from 'node:path';
import { getRequestListener } from '@hono/node-server';

type Fetch = (request: Request) => Response | Promise<Response>;

export interface Site {
  port: number;
  /** From now on the API answers under /api; before, requests are told to wait. */
  serveApi(fetch: Fetch): void;
  /** Lets requests under way finish for up to `graceMs`, then closes every connection. */
  close(graceMs: number): Promise<void>;
}

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};
/** As docker/web/Caddyfile sends them. */
const PAGE_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
};

/**
 * The web app at / and the API under /api, on one port of 127.0.0.1, as the gateway offers them. It listens at once, so that a port in
 * use is known before anything else is done.
 * @throws what listening throws: EADDRINUSE, EACCES
 */
export async function openSite(webDirectory: string, port: number, process: number): Promise<Site> {
  const files = await readPage(webDirectory);
  let api: Fetch | undefined;
  const waiting: Fetch = () =>
    Response.json(
      { error: { code: 'starting', message: 'The platform is starting.' } },
      { status: 503, headers: { 'retry-after': '1' } },
    );
  const listener = getRequestListener(async (request) => {
    const url = new URL(request.url);
    if (url.pathname !== '/api' && !url.pathname.startsWith('/api/'))
      return page(files, request.method, url.pathname);
    url.pathname = url.pathname.slice('/api'.length) || '/';
    const response = await (api ?? waiting)(new Request(url, request));
    response.headers.set('x-kg-process', String(process));
    return response;
  });
  const server = createServer((request, response) => void listener(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host: '127.0.0.1' }, resolve);
  });
  return {
    port: (server.address() as { port: number }).port,
    serveApi(fetch) {
      api = fetch;
    },
    close: (graceMs) => closeServer(server, graceMs),
  };
}

/** The page and its assets, by path: a few files that fit into memory, and no path from outside is ever opened. */
async function readPage(
  folder: string,
): Promise<Map<string, { body: Uint8Array<ArrayBuffer>; type: string; hashed: boolean }>> {
  const files = new Map();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(folder.length).replaceAll('\\', '/').replace(/^\/*/, '/');
    const body = new Uint8Array(await readFile(path));
    files.set(name, {
      body,
      type: TYPES[extname(path)] ?? 'application/octet-stream',
      hashed: /-[A-Z0-9]{8}\.[a-z]+$/.test(name),
    });
  }
  return files;
}

function page(files: Awaited<ReturnType<typeof readPage>>, method: string, path: string): Response {
  if (method !== 'GET' && method !== 'HEAD') return new Response('method not allowed\n', { status: 405 });
  const file = files.get(path) ?? (path.startsWith('/assets/') ? undefined : files.get('/index.html'));
  if (!file) return new Response('not found\n', { status: 404, headers: PAGE_HEADERS });
  const cache = file.hashed ? 'public, max-age=31536000, immutable' : 'no-cache';
  return new Response(method === 'HEAD' ? null : file.body, {
    headers: { ...PAGE_HEADERS, 'content-type': file.type, 'cache-control': cache },
  });
}

async function closeServer(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(timer);
}
