import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { fetchThroughTls, shownCertificate } from '../../src/adapters/gateway-tls.ts';

const NAME = 'kg.example.org';
let server: ReturnType<typeof createServer>;
let url: string;
let cert: string;
const asked: string[] = [];

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kg-gateway-tls-'));
  execFileSync(
    'openssl',
    [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '9',
      ],
      ...['-subj', '/CN=The Root/O=Somebody', '-addext', `subjectAltName=DNS:${NAME},IP:192.0.2.7`],
      ...['-keyout', 'key.pem', '-out', 'cert.pem'],
    ],
    { cwd: folder, stdio: 'ignore' },
  );
  cert = readFileSync(join(folder, 'cert.pem'), 'utf8');
  server = createServer({ cert, key: readFileSync(join(folder, 'key.pem')) }, (request, response) => {
    const { servername } = request.socket as TLSSocket;
    asked.push(`${servername} ${request.headers.host} ${request.method} ${request.url}`);
    if (request.url === '/hangs') return;
    response.writeHead(request.url === '/ready' ? 200 : 503).end(JSON.stringify({ ready: true }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

describe('fetchThroughTls', () => {
  const others = (async (input: string) => new Response(`others: ${input}`)) as typeof fetch;
  const through = (host: string) =>
    fetchThroughTls({ gateway: { api: url, web: url }, tls: { mode: 'files', host } }, others);

  test('the gateway is asked for PUBLIC_HOST, whoever signed its certificate', async () => {
    const answer = await through(NAME)(`${url}/ready`, { signal: AbortSignal.timeout(5000) });
    expect([answer.status, await answer.json()]).toEqual([200, { ready: true }]);
    expect((await through(NAME)(`${url}/`)).status).toBe(503);
    // No name for an address: TLS has none.
    await through('192.0.2.7')(`${url}/x`);
    expect(asked).toEqual([`${NAME} ${NAME} GET /ready`, `${NAME} ${NAME} GET /`, 'false 192.0.2.7 GET /x']);
  });

  test('everybody else is asked as ever, and without TLS the gateway, too', async () => {
    expect(await (await through(NAME)('https://api.example.org/v1')).text()).toBe(
      'others: https://api.example.org/v1',
    );
    expect(fetchThroughTls({ gateway: { api: '', web: '' }, tls: null }, others)).toBe(others);
  });

  test('a time limit, and a port where nobody is', async () => {
    await expect(through(NAME)(`${url}/hangs`, { signal: AbortSignal.timeout(50) })).rejects.toThrow(/abort/);
    const nobody = fetchThroughTls({
      gateway: { api: 'https://127.0.0.1:1', web: url },
      tls: { mode: 'acme', host: NAME },
    });
    await expect(nobody('https://127.0.0.1:1/')).rejects.toThrow(/ECONNREFUSED/);
  });
});

describe('shownCertificate', () => {
  const look = (host: string, root: string | null) => shownCertificate({ url, host, root, timeoutMs: 5000 });

  test('says what it is, who trusts it, and for which names', async () => {
    expect(await look(NAME, null)).toMatchObject({
      issuer: 'The Root',
      names: [NAME, '192.0.2.7'],
      untrusted: 'DEPTH_ZERO_SELF_SIGNED_CERT',
      namesHost: true,
      fingerprint: expect.stringMatching(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/),
    });
    expect(await look(NAME, cert)).toMatchObject({ untrusted: null, namesHost: true });
    expect(await look('192.0.2.7', cert)).toMatchObject({ untrusted: null, namesHost: true });
    expect(await look('other.example.org', cert)).toMatchObject({ untrusted: null, namesHost: false });
    const { notBefore, notAfter } = await look(NAME, null);
    expect((Date.parse(notAfter) - Date.parse(notBefore)) / 86_400_000).toBeCloseTo(9);
  });

  test('where nobody is', async () => {
    const gone = shownCertificate({ url: 'https://127.0.0.1:1', host: NAME, root: null, timeoutMs: 5000 });
    await expect(gone).rejects.toThrow(/ECONNREFUSED/);
  });
});
