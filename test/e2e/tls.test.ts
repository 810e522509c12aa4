import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parseEnvFile } from '../../packages/engine/src/model/env-file.ts';
import { Authority, ask, handshake, type TlsClient } from './certificates.ts';
import { docker, run } from './command.ts';
import { ensureImage, REPOSITORY } from './images.ts';
import { ADMIN_PASSWORD, Installation } from './installation.ts';
import { findLeaks, secretsOfContainers } from './secrets.ts';
import { until } from './wait.ts';

jest.setTimeout(600_000);

const NAME = 'kg.tls.test';
interface Status {
  state: string;
  ok: boolean;
  trusted: boolean | null;
  names: string[];
  fingerprint: string;
  notAfter: string;
  issuer: string;
}

let kg: Installation;
let authority: Authority;
/** Private keys that were seen on the way, by where they are. */
const keys: Record<string, string> = {};

beforeAll(async () => {
  authority = await Authority.create();
  kg = await Installation.create({ dev: false });
});
afterAll(async () => {
  await run('docker', ['rm', '-f', '-v', `${kg.prefix}-ca`]);
  await authority.remove();
  await kg.destroy();
});

/** Changes settings of .operator.conf. */
async function set(settings: Record<string, string | number>): Promise<void> {
  const { values } = parseEnvFile(await readFile(kg.path('.operator.conf'), 'utf8'));
  await kg.configure({ ...Object.fromEntries(values), ...settings });
}
const client = (more: Partial<TlsClient> = {}): TlsClient => ({ port: kg.webPort, name: NAME, ...more });
const status = async () => {
  const { code, document } = await kg.json<Status>(['cert', 'status']);
  return { code, ...document.data };
};
const logIn = (to: TlsClient) => {
  const form = { grant_type: 'password', username: 'admin', password: ADMIN_PASSWORD };
  return ask(to, { method: 'POST', path: '/api/oauth/token' }, new URLSearchParams(form));
};
/** The body of a PEM, which would be found wherever the key is, however it is quoted. */
const bodyOf = (pem: string) =>
  pem.split('\n').filter((line) => line.length > 32 && !line.includes('---'))[0] ?? '';
const gateway = async () => {
  const found = (await kg.containers()).gateway;
  if (!found) throw new Error('no gateway');
  return found;
};

test('another network without TLS is refused, before anything is built', async () => {
  await set({ BIND_ADDRESS: '0.0.0.0' });
  const { code, document } = await kg.json(['up']);
  expect([code, document.error.message]).toEqual([3, expect.stringContaining('ALLOW_PLAIN_HTTP=true')]);
  expect(await kg.leftovers()).toEqual([]);
  await set({ BIND_ADDRESS: '127.0.0.1' });
});

describe('internal', () => {
  let root: string;

  test('up says the https:// address', async () => {
    await set({ TLS_MODE: 'internal', PUBLIC_HOST: NAME });
    const { document } = await kg.json(['up', '--yes'], {
      env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD, KG_AI_PROVIDER: 'local', KG_EMBEDDING: 'local' },
    });
    expect(document).toMatchObject({ ok: true, data: { url: `https://${NAME}:${kg.webPort}` } });
  });

  test('who trusts the root logs in; who does not refuses', async () => {
    root = (await kg.ok(['cert', 'root'])).stdout;
    const answer = await logIn(client({ ca: root }));
    expect([answer.status, JSON.parse(answer.text)]).toEqual([
      200,
      expect.objectContaining({ token_type: 'Bearer' }),
    ]);
    expect((await ask(client({ ca: root, port: kg.apiPort }), { path: '/ready' })).status).toBe(200);
    await expect(logIn(client())).rejects.toMatchObject({ code: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY' });
  });

  test('TLS 1.2 or newer, HTTP/2, no promise to browsers; plain HTTP is sent to https://; other names are told', async () => {
    expect(await handshake(client())).toMatchObject({ protocol: 'TLSv1.3', alpn: 'h2' });
    const page = await ask(client({ ca: root }), { path: '/' });
    expect([page.status, page.headers['strict-transport-security']]).toEqual([200, undefined]);
    const plain = await fetch(`http://127.0.0.1:${kg.webPort}/x?y=1`, { redirect: 'manual' });
    expect([plain.status, plain.headers.get('location')]).toEqual([
      308,
      `https://127.0.0.1:${kg.webPort}/x?y=1`,
    ]);
    const elsewhere = await ask(client({ ca: root }), { path: '/', headers: { host: 'localhost' } });
    expect([elsewhere.status, elsewhere.text]).toEqual([421, `This is ${NAME}: use that name.\n`]);
  });

  test('cert status: for this name, trusted with that root; status has a line of it', async () => {
    const { code, document } = await kg.json(['cert', 'status']);
    expect(code).toBe(0);
    const schema = JSON.parse(await readFile(`${REPOSITORY}/schema/json/cert-status.schema.json`, 'utf8'));
    const fits = new Ajv2020({ allowUnionTypes: true }).compile(schema);
    expect([fits(document.data), fits.errors]).toEqual([true, null]);
    expect(document.data).toMatchObject({ mode: 'internal', state: 'good', names: [NAME], trusted: true });
    expect((await kg.ok(['status', '--exit-code'])).stdout).toMatch(
      /Certificate {2}kg\.tls\.test, good, until 20/,
    );
  });

  test('another PUBLIC_HOST than that of the certificate: exit 7', async () => {
    await set({ PUBLIC_HOST: 'other.test' });
    expect(await status()).toMatchObject({ code: 7, state: 'wrong-name', ok: false });
    await set({ PUBLIC_HOST: NAME });
  });

  test('keys and certificate outlive stop, and the container', async () => {
    const before = await status();
    keys.root = await docker(
      'exec',
      (await gateway()).Id,
      'busybox',
      'cat',
      '/data/caddy/pki/authorities/local/root.key',
    );
    const leaf = `/data/caddy/certificates/local/${NAME}/${NAME}.key`;
    keys.leaf = await docker('exec', (await gateway()).Id, 'busybox', 'cat', leaf);
    await kg.ok(['stop', 'gateway']);
    expect(await status()).toMatchObject({ code: 7, state: 'not-served' });
    await kg.compose('rm', '-f', 'gateway');
    await kg.ok(['start']);
    expect((await status()).fingerprint).toBe(before.fingerprint);
    expect((await kg.ok(['cert', 'root'])).stdout).toBe(root);
  });

  test('the gateway is not root, writes nowhere else, and has no capability', async () => {
    const [inspected] = JSON.parse(await docker('inspect', (await gateway()).Id));
    expect(inspected.Config.User).toBe('1000:1000');
    expect(inspected.HostConfig).toMatchObject({ ReadonlyRootfs: true, CapDrop: ['ALL'] });
  });
});

describe('files', () => {
  let root: string;
  const replaced = async (name: string, days: { from: number; to: number }) => {
    const before = (await handshake(client())).certificate.fingerprint256;
    await authority.issue(kg.root, name, days);
    await until('the gateway shows the new one', async () => {
      return (await handshake(client())).certificate.fingerprint256 !== before;
    });
  };

  test("a company's certificate, whose key only its owner can read", async () => {
    root = await authority.root();
    await authority.issue(kg.root, NAME, { from: -1, to: 365 });
    keys.file = await authority.lastKey();
    await set({ TLS_MODE: 'files' });
    await kg.ok(['start']);
    expect((await logIn(client({ ca: root }))).status).toBe(200);
    const page = await ask(client({ ca: root }), { path: '/' });
    expect(page.headers['strict-transport-security']).toBe('max-age=31536000');
    expect(await status()).toMatchObject({
      code: 0,
      state: 'good',
      issuer: 'The Company Root',
      trusted: false,
    });
    expect((await kg.run(['cert', 'root'])).code).toBe(3);
  });

  test('a new one is taken up without a restart; a request is asked again once at most', async () => {
    const { Id, State } = await gateway();
    const page = () => ask(client({ ca: root }), { path: '/' });
    const answers: number[] = [];
    let over = false;
    const traffic = (async () => {
      // Caddy opens its port anew, and what the kernel had in the queue of the old one is reset: browsers ask again by themselves.
      while (!over) answers.push((await page().catch(page)).status);
    })();
    await replaced(NAME, { from: 0, to: 400 });
    over = true;
    await traffic;
    expect(answers.length).toBeGreaterThan(20);
    expect(new Set(answers)).toEqual(new Set([200]));
    expect(await gateway()).toMatchObject({ Id, State: { StartedAt: State.StartedAt } });
    expect((await logIn(client({ ca: root }))).status).toBe(200);
  });

  test.each([
    ['one that is due', NAME, { from: -340, to: 25 }, 0, 'due'],
    ['one that is overdue', NAME, { from: -360, to: 5 }, 7, 'overdue'],
    ['one that has expired', NAME, { from: -90, to: -1 }, 7, 'expired'],
    ['one for another name', 'wrong.tls.test', { from: -1, to: 90 }, 7, 'wrong-name'],
  ] as const)('%s', async (_what, name, days, code, state) => {
    await replaced(name, days);
    expect(await status()).toMatchObject({ code, state });
  });
});

describe('acme', () => {
  const ca = () => `${kg.prefix}-ca`;

  test('a certificate by an ACME server that asks on port 443', async () => {
    const bridge = await docker('network', 'inspect', 'bridge', '-f', '{{(index .IPAM.Config 0).Gateway}}');
    await startAcmeServer(ca(), bridge.trim());
    await writeFile(
      kg.path('docker', 'docker-compose.override.yml'),
      'services: {gateway: {environment: {RENEW_INTERVAL: 2s, RENEWAL_WINDOW_RATIO: "0.8"}}}\n',
    );
    await set({
      ...{ TLS_MODE: 'acme', BIND_ADDRESS: bridge.trim(), WEB_PORT: 443 },
      ...{ ACME_EMAIL: 'ada@tls.test', ACME_URL: 'https://ca.tls.test/acme/local/directory' },
    });
    const { document } = await kg.json(['start']);
    expect(document).toMatchObject({ ok: true, data: { url: `https://${NAME}` } });
    const shown = await until('a certificate', async () => {
      const one = await status();
      return one.code === 0 ? one : null;
    });
    expect(shown).toMatchObject({ names: [NAME], issuer: expect.stringContaining('ECC Intermediate') });
    const root = await docker('exec', ca(), 'busybox', 'cat', '/data/caddy/pki/authorities/local/root.crt');
    const to = client({ ca: root, address: bridge.trim(), port: 443 });
    expect((await logIn(to)).status).toBe(200);
  });

  test('it is renewed by the gateway', async () => {
    const before = await status();
    const after = await until(
      'another certificate',
      async () => {
        const one = await status();
        return one.fingerprint === before.fingerprint ? null : one;
      },
      { seconds: 90, everyMs: 1000 },
    );
    expect(Date.parse(after.notAfter)).toBeGreaterThan(Date.parse(before.notAfter));
    expect(after).toMatchObject({ code: 0, state: 'good' });
  });
});

test('no private key is in a log, the journal, what was printed, or what docker inspect shows', async () => {
  const secrets = Object.fromEntries(Object.entries(keys).map(([name, pem]) => [name, bodyOf(pem)]));
  expect(Object.values(secrets).map((body) => body.length > 32)).toEqual([true, true, true]);
  expect(await findLeaks(kg, secrets)).toEqual([]);
  for (const found of Object.values(await secretsOfContainers(kg, secrets))) expect(found).toEqual([]);
});

/**
 * Caddy as an authority: the gateway's image with a configuration of its own, under the name ca.tls.test in the installation's network.
 * It finds NAME on the host, as one on the Internet would. Its certificates last the five minutes that its library allows at least.
 */
async function startAcmeServer(name: string, host: string): Promise<void> {
  const caddyfile = `{
	admin off
	auto_https disable_redirects
	skip_install_trust
}
https://ca.tls.test {
	tls internal
	acme_server {
		lifetime 5m
		challenges tls-alpn-01
	}
}
`;
  const edge = `${kg.prefix}_edge`;
  await docker(
    ...['run', '-d', '--name', name, '--network', edge, '--network-alias', 'ca.tls.test'],
    // The image says that it is this project's gateway: compose has built it.
    ...[
      '--no-healthcheck',
      '--label',
      'com.docker.compose.project=',
      '--label',
      'com.docker.compose.service=',
    ],
    ...['--add-host', `${NAME}:${host}`, '-e', 'XDG_DATA_HOME=/data', '--tmpfs', '/data:uid=1000'],
    ...['-e', `CADDYFILE=${caddyfile}`, '--entrypoint', 'sh', await ensureImage('gateway')],
    ...[
      '-c',
      'printf %s "$CADDYFILE" >/tmp/Caddyfile && exec caddy run --config /tmp/Caddyfile --adapter caddyfile',
    ],
  );
  const root = await until('the authority has its root', () =>
    docker('exec', name, 'busybox', 'cat', '/data/caddy/pki/authorities/local/root.crt'),
  );
  await writeFile(kg.path('tls', 'acme-ca.pem'), root, { mode: 0o644 });
}
