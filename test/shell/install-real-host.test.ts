import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttp, type Server } from 'node:http';
import { createServer as createHttps, type Server as HttpsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Host } from './host.ts';
import { Published } from './published.ts';
import { errorOf, type RunOptions } from './shim.ts';

jest.setTimeout(120_000);

// Real file systems, names, servers and proxies; only Docker is the fake. It takes root to mount.
const asRoot = process.getuid?.() === 0 ? describe : describe.skip;
const NAME = 'only-ipv6.kg.test';

let published: Published;
let tls: { key: Buffer; cert: Buffer; file: string };
beforeAll(async () => {
  published = (await new Published().add('1.0.0')).issue();
  const [key, cert] = [published.path('key.pem'), published.path('cert.pem')];
  const subject = ['-subj', `/CN=${NAME}`, '-addext', `subjectAltName=DNS:${NAME},DNS:localhost`];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  });
  tls = { key: readFileSync(key), cert: readFileSync(cert), file: cert };
});
afterAll(() => published[Symbol.dispose]());

function listen<S extends Server | HttpsServer>(server: S, address: string): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, address, () => resolve((server.address() as AddressInfo).port));
  });
}
const serve = () =>
  createHttps(tls, (request, response) => {
    response.end(published.read((request.url ?? '').slice(1)));
  });
function stop(...servers: (Server | HttpsServer)[]): void {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
}

/** install.sh in a mount namespace of its own, after `first`, a line of sh. */
const after = (first: string, ...unshare: string[]) => [
  ...['/usr/bin/unshare', '--mount', ...unshare, '/bin/sh', '-euc', `${first}\nexec dash "$@"`, 'sh'],
];
async function findings(
  host: Host,
  args: string[],
  options: RunOptions & { from?: string },
): Promise<string[]> {
  const result = await host.install(['--json', '--no-start', ...args], options);
  expect(existsSync(host.root)).toBe(false);
  const error = errorOf(result) as unknown as { details: string[]; message: string };
  return error.details.length > 0 ? error.details : [error.message];
}

asRoot('on real parts', () => {
  test('a name that has only an IPv6 address: installed from where it is reached, named where it is not', async () => {
    const server = serve();
    const port = await listen(server, '::1');
    try {
      const hosts = published.path('hosts');
      writeFileSync(hosts, `127.0.0.1 localhost\n::1 ${NAME}\n`);
      const options = { from: `https://${NAME}:${port}`, env: { KG_CA_FILE: tls.file } };
      using host = new Host(after(`mount --bind '${hosts}' /etc/hosts`), published);
      const result = await host.install(['--no-start'], options);
      expect([result.code, result.stderr]).toEqual([0, expect.stringContaining(`from https://${NAME}`)]);

      const without = `mount --bind '${hosts}' /etc/hosts\nip link set lo up\nsysctl -qw net.ipv6.conf.all.disable_ipv6=1`;
      using old = new Host(after(without, '--net'), published);
      using tools = new Host(['dash'], published);
      const wget = tools.environmentWith(['wget', 'minisign', 'getent', 'mount', 'ip', 'sysctl']);
      for (const env of [options.env, { ...wget, ...options.env }]) {
        expect(await findings(old, [], { ...options, env })).toEqual([
          expect.stringMatching(
            /^SOURCE_UNREACHABLE: .*the name has IPv6 addresses only, and this host can't reach them/,
          ),
        ]);
      }
    } finally {
      stop(server);
    }
  });

  test('through a proxy; one that refuses is named, without its password', async () => {
    const server = serve();
    const port = await listen(server, '127.0.0.1');
    let tunnels = 0;
    const proxy = createHttp().on('connect', (request, socket, head) => {
      if (!request.headers['proxy-authorization']) return socket.end('HTTP/1.1 407 Who are you\r\n\r\n');
      tunnels++;
      const [, to = ''] = (request.url ?? '').split(':');
      const upstream = connect(Number(to), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        upstream.write(head);
        upstream.pipe(socket).pipe(upstream);
      });
      for (const end of [socket, upstream]) end.on('error', () => end.destroy());
    });
    const at = await listen(proxy, '127.0.0.1');
    try {
      const from = `https://${NAME}:${port}`;
      const env = { KG_CA_FILE: tls.file, https_proxy: `http://ada:a-proxy-password@127.0.0.1:${at}` };
      using host = new Host(['dash'], published);
      const result = await host.install(['--no-start'], { from, env });
      expect([result.code, result.stderr]).toEqual([0, expect.stringContaining('Verified')]);
      expect(tunnels).toBeGreaterThan(3);
      using other = new Host(['dash'], published);
      const [line = ''] = await findings(other, [], {
        from,
        env: { ...env, https_proxy: `http://127.0.0.1:${at}` },
      });
      expect(line).toMatch(/^SOURCE_UNREACHABLE: .*407.*\(through the proxy http:\/\/127\.0\.0\.1:\d+\)/);
      const dead = { ...env, https_proxy: 'http://ada:a-proxy-password@127.0.0.1:1' };
      const [named = ''] = await findings(other, [], { from, env: dead });
      expect(named).toContain('(through the proxy 127.0.0.1:1)');
      expect(named).not.toContain('a-proxy-password');
    } finally {
      stop(server, proxy);
    }
  });

  test('a directory on a file system that is mounted read-only', async () => {
    using host = new Host(['dash'], published);
    const mount = join(host.docker, 'read only');
    mkdirSync(mount);
    const shell = after(`mount -t tmpfs -o ro,size=1m tmpfs '${mount}'`);
    using closed = new Host(shell, published);
    expect(await findings(closed, ['--dir', join(mount, 'kg')], {})).toEqual(
      expect.arrayContaining([
        expect.stringMatching(
          /^TARGET_READ_ONLY: root can't write in .*read only: it is mounted read-only: take another --dir$/,
        ),
      ]),
    );
  });

  test('200 MB free for the installation, and none for what is downloaded', async () => {
    using host = new Host(['dash'], published);
    const mount = join(host.docker, 'small');
    mkdirSync(mount);
    using small = new Host(after(`mount -t tmpfs -o size=200m tmpfs '${mount}'`), published);
    expect(await findings(small, ['--dir', join(mount, 'kg')], {})).toEqual([
      `DISK_SPACE: ${mount} has 200 MB free; 500 MB are the least, and backups want more`,
    ]);
    using tiny = new Host(after(`mount -t tmpfs -o size=1m tmpfs '${mount}'`), published);
    expect(await findings(tiny, [], { env: { TMPDIR: mount } })).toEqual([
      `DISK_SPACE_TMP: ${mount} has 1 MB free; 20 MB are the least: set TMPDIR`,
    ]);
  });

  test('no terminal, no HOME, an empty environment: what is missing is told in one message', async () => {
    using host = new Host(['dash'], published);
    const empty = ['/usr/bin/env', '-i', `PATH=${host.bin}:/usr/bin:/bin`, `FAKE_DOCKER=${host.docker}`];
    const bare = (...args: string[]) => host.run(args, { script: host.installer, cwd: '/', env: {} });
    Object.assign(host, { shell: [...empty, '/usr/bin/setsid', '--wait', 'dash'] });
    const where = ['--dir', host.root, '--from', published.folder, ...Host.QUIET_PORTS, '--json'];
    const asked = await bare(...where);
    expect([asked.code, errorOf(asked)]).toEqual([
      2,
      expect.objectContaining({ message: 'there is no terminal to ask on: give --yes' }),
    ]);
    expect(existsSync(host.root)).toBe(false);
    expect((await bare(...where, '--yes', '--no-start')).code).toBe(0);
  });
});
