import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttps, type Server as HttpsServer } from 'node:https';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Host } from './host.ts';
import { Published } from './published.ts';
import { errorOf, type RunOptions, SHELLS } from './shim.ts';

jest.setTimeout(120_000);

let published: Published;
let url: string;
beforeAll(async () => {
  published = (await new Published().add('1.0.0')).issue();
  url = await published.serve();
});
afterAll(() => published[Symbol.dispose]());

/** What install.sh finds: CODE: message, for each. */
async function findings(
  host: Host,
  args: string[] = [],
  options: RunOptions & { from?: string } = {},
): Promise<string[]> {
  const result = await host.install(['--json', '--no-start', ...args], options);
  const error = errorOf(result) as unknown as { code: string; message: string; details: string[] };
  return error.code === 'CHECKS_FAILED' ? error.details : [`${error.code}: ${error.message}`];
}
/** The same of what does not stop it. */
async function warnings(host: Host, options: RunOptions & { from?: string } = {}): Promise<string[]> {
  const result = await host.install(['--json', '--dry-run'], options);
  expect([result.code, result.stderr]).toEqual([0, expect.anything()]);
  return (JSON.parse(result.stdout) as { warnings: string[] }).warnings;
}
const codes = (lines: string[]) => lines.map((line) => line.split(':')[0]);
function program(host: Host, name: string, ...lines: string[]): void {
  writeFileSync(join(host.bin, name), ['#!/bin/dash', ...lines, ''].join('\n'), { mode: 0o755 });
}
const listen = <S extends Server | HttpsServer>(server: S): Promise<[S, number]> =>
  new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve([server, (server.address() as AddressInfo).port]));
  });

describe.each(SHELLS)('preflight under %s', (_name, shell) => {
  test('everything is told at once, with codes, and nothing is written', async () => {
    using host = new Host(shell, published)
      .given('compose-version', '2.9.0\n')
      .given('engine-version', '24.0.7\n');
    program(host, 'uname', 'case $1 in -m) echo riscv64 ;; *) echo Linux ;; esac');
    program(host, 'df', 'printf "x\\nfs 1000000 800000 204800 80%% /\\n"');
    host.given('volumes', 'kg_postgres-data\n');
    expect(codes(await findings(host))).toEqual([
      ...[
        'ARCH_UNSUPPORTED',
        'DOCKER_OLD',
        'COMPOSE_OLD',
        'DISK_SPACE',
        'DISK_SPACE_IMAGES',
        'DATA_WITHOUT_ENV',
      ],
    ]);
    expect(existsSync(host.root)).toBe(false);
    const { code, stderr } = await host.install();
    expect([code, stderr]).toEqual([
      3,
      expect.stringMatching(/DISK_SPACE: .* has 200 MB free; 500 MB are the least/),
    ]);
  });

  test.each([
    [
      'down',
      'permission denied while trying to connect to the Docker daemon socket',
      'DOCKER_PERMISSION',
      /usermod -aG docker/,
    ],
    ['down', '', 'DOCKER_DOWN', /systemctl start docker/],
    ['docker-version', 'podman version 4.9', 'DOCKER_PODMAN', /Docker Engine/],
    ['info', 'overlay2|/var/lib/docker|linux|8000000000|[name=rootless]|', 'DOCKER_ROOTLESS', /root/],
    ['info', 'overlay2|/var/snap/docker/common|linux|8000000000|[]|', 'DOCKER_SNAP', /snap/],
    ['info', 'overlay2|/nowhere|windows|8000000000|[]|', 'DOCKER_WINDOWS', /Linux containers/],
    ['info', 'overlay2|/nowhere|linux|512000000|[]|', 'MEMORY', /512 MB/],
  ])('Docker: %s %s: %s', async (file, text, code, says) => {
    using host = new Host(shell, published).given(file, text && `${text}\n`);
    expect(await findings(host, [], { env: { HOME: '/root' } })).toEqual([
      expect.stringMatching(new RegExp(`^${code}: .*${says.source}`)),
    ]);
  });

  test('warnings do not stop it', async () => {
    using host = new Host(shell, published).given('info', 'vfs|/nowhere|linux|1500000000|[]|\n');
    const env = { https_proxy: 'http://proxy.example:3128' };
    expect(codes(await warnings(host, { env }))).toEqual(['MEMORY_SMALL', 'STORAGE_DRIVER', 'PROXY_DOCKER']);
  });

  test('a port that is taken, and by whom', async () => {
    using host = new Host(shell, published);
    const [server, port] = await listen(createServer());
    try {
      const taken = ['--set', `WEB_PORT=${port}`];
      expect(await findings(host, taken)).toEqual([
        expect.stringMatching(new RegExp(`^PORT_TAKEN: port ${port} is in use.*--set WEB_PORT=PORT`)),
      ]);
      host.given('holder', 'shop container shop-web-1\n');
      expect(await findings(host, taken)).toEqual([expect.stringContaining('by container shop-web-1')]);
      host.given('holder', 'kg container kg-gateway-1\n');
      expect((await host.install(['--dry-run', ...taken])).code).toBe(0);
    } finally {
      server.close();
    }
  });

  test('targets that are something else', async () => {
    using host = new Host(shell, published);
    mkdirSync(join(host.root, 'docker'), { recursive: true });
    host.write('docker/docker-compose.yml', '');
    expect(codes(await findings(host))).toEqual(['TARGET_REPOSITORY']);
    using other = new Host(shell, published);
    mkdirSync(other.root);
    other.write('docker-compose.yml', 'theirs');
    expect(codes(await findings(other))).toEqual(['TARGET_FOREIGN']);
    expect(other.tree()).toEqual({ 'docker-compose.yml': 'theirs' });
    expect(codes(await findings(other, ['--dir', join(other.root, 'docker-compose.yml/x')]))).toEqual([
      'TARGET_INVALID',
    ]);
    expect(codes(await findings(other, ['--dir', '/tmp/a:b']))).toEqual(['TARGET_NAME']);
  });

  test('usage', async () => {
    using host = new Host(shell, published);
    for (const args of [
      ['--nope'],
      ['--dir'],
      ['--set', 'x'],
      ['--registry', 'A B'],
      ['--from', 'ftp://x/'],
      ['--restore', '/no/file'],
    ])
      expect([args, (await host.install(args)).code]).toEqual([args, 2]);
    const help = await host.install(['--help']);
    for (const flag of [
      'dir',
      'version',
      'channel',
      'registry',
      'yes',
      'no-start',
      'dry-run',
      'from',
      'restore',
      'uninstall',
      'json',
    ])
      expect(help.stdout).toContain(`--${flag}`);
  });
});

describe('downloads', () => {
  const shell = ['dash'];
  test.each(['curl', 'wget', 'busybox'])('by %s', async (name) => {
    using host = new Host(shell, published);
    const env = host.environmentWith(name === 'busybox' ? ['minisign'] : [name, 'minisign']);
    if (name === 'busybox') program(host, 'wget', 'exec /usr/bin/busybox wget "$@"');
    const result = await host.install(['--no-start'], { env, from: url });
    expect([result.code, result.stderr]).toEqual([0, expect.stringContaining(`from ${url}`)]);
    const missing = await host.install(['--no-start', '--json'], { env, from: `${url}/nowhere` });
    expect([missing.code, errorOf(missing).message]).toEqual([
      6,
      expect.stringContaining(`${url}/nowhere/channels.json`),
    ]);
  });

  test('neither curl nor wget; only the wget that checks no certificates', async () => {
    using host = new Host(shell, published);
    const env = host.environmentWith(['minisign']);
    expect(codes(await findings(host, [], { env, from: url }))).toEqual(['DOWNLOADER_MISSING']);
    program(host, 'wget', 'exec /usr/bin/busybox wget "$@"');
    expect(codes(await findings(host, [], { env, from: 'https://releases.invalid' }))).toEqual([
      'DOWNLOADER_UNSAFE',
    ]);
  });

  test.each(['curl', 'wget'])(
    'a name that is not found, a server that is down, a proxy that is not there (%s)',
    async (name) => {
      using host = new Host(shell, published);
      const env = host.environmentWith([name, 'minisign']);
      const [line = ''] = await findings(host, [], { env, from: 'https://releases.invalid' });
      expect(line).toMatch(
        /^SOURCE_UNREACHABLE: the releases come from .*: (the name is not found.*IPv6|.*)/,
      );
      if (name === 'curl') expect(line).toContain('IPv6');
      expect(codes(await findings(host, [], { env, from: 'http://127.0.0.1:1' }))).toEqual([
        'SOURCE_UNREACHABLE',
      ]);
      const proxy = { ...env, https_proxy: 'http://127.0.0.1:1' };
      const found = await findings(host, [], { env: proxy, from: 'https://releases.invalid' });
      expect(found).toEqual([
        expect.stringMatching(/^SOURCE_UNREACHABLE: .*through the proxy http:\/\/127\.0\.0\.1:1/),
      ]);
    },
  );

  test('the registry is asked, too', async () => {
    using host = new Host(shell, published);
    const found = await findings(host, ['--registry', 'registry.invalid/kg']);
    expect(found).toEqual([
      expect.stringMatching(/^REGISTRY_UNREACHABLE: the images come from https:\/\/registry\.invalid\/v2\//),
    ]);
  });

  test('plain http only from this host', async () => {
    using host = new Host(shell, published);
    expect(codes(await findings(host, [], { from: 'http://releases.example' }))).toEqual(['SOURCE_INVALID']);
  });

  test.each(['curl', 'wget'])('certificates are checked; a CA of your own is taken (%s)', async (name) => {
    using host = new Host(shell, published);
    const [key, cert] = [join(host.docker, 'key.pem'), join(host.docker, 'cert.pem')];
    execFileSync(
      'openssl',
      [
        ...[
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:P-256',
          '-nodes',
          '-days',
          '2',
          '-subj',
          '/CN=localhost',
        ],
        ...['-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert],
      ],
      { stdio: 'ignore' },
    );
    const [server, port] = await listen(
      createHttps({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
        response.end(published.read((request.url ?? '').slice(1)));
      }),
    );
    try {
      const env = { ...host.environmentWith([name, 'minisign']), no_proxy: 'localhost' };
      const from = `https://localhost:${port}`;
      const [line = ''] = await findings(host, [], { env, from });
      expect(line).toMatch(/^SOURCE_UNREACHABLE: .*its certificate is not trusted here.*KG_CA_FILE/);
      for (const variable of ['KG_CA_FILE', 'SSL_CERT_FILE']) {
        const result = await host.install(['--no-start'], { env: { ...env, [variable]: cert }, from });
        expect([variable, result.code, result.stderr]).toEqual([variable, 0, expect.anything()]);
      }
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  test('a clock that is wrong', async () => {
    using host = new Host(shell, published);
    published.date = new Date(Date.now() - 10 * 60_000);
    expect(await warnings(host, { from: url })).toEqual([
      expect.stringMatching(/^CLOCK_OFF: .* (59\d|60\d) seconds ahead of/),
    ]);
    published.date = new Date(Date.now() + 40 * 86_400_000);
    expect(await findings(host, [], { from: url })).toEqual([
      expect.stringMatching(/^CLOCK_WRONG: .* 34[56]\d+ seconds behind/),
    ]);
    published.date = undefined;
    expect(await warnings(host, { from: url })).toEqual([]);
  });
});

const asNobody = process.getuid?.() === 0 ? test : test.skip;
asNobody('a directory that takes nothing, and one that does, for somebody who is not root', async () => {
  using host = new Host(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'dash'], published);
  for (const folder of [host.home, host.docker, host.bin]) chmodSync(folder, 0o777);
  for (const folder of [join(host.home, '..'), published.folder, published.path('1.0.0')])
    chmodSync(folder, 0o755);
  mkdirSync(join(host.home, 'closed'), { mode: 0o555 });
  const closed = ['--dir', join(host.home, 'closed', 'kg')];
  expect(await findings(host, closed)).toEqual([
    expect.stringMatching(/^TARGET_READ_ONLY: nobody can't write in .*closed/),
  ]);
  const result = await host.install(['--no-start']);
  expect([result.code, result.stderr]).toEqual([0, expect.anything()]);
});

test('a disk that fills up while it is installed: nothing, and a clear message', async () => {
  using host = new Host(['dash'], published);
  program(host, 'cp', 'echo "cp: error writing: No space left on device" >&2', 'exit 1');
  const result = await host.install(['--no-start', '--json'], { from: url });
  expect([result.code, errorOf(result)]).toEqual([
    3,
    expect.objectContaining({
      code: 'NOT_WRITTEN',
      message: expect.stringContaining('No space left on device'),
    }),
  ]);
  expect([host.tree(), host.litter()]).toEqual([{}, []]);
});

describe('a bundle', () => {
  test('images are loaded, and pinned by the id that the release names', async () => {
    using host = new Host(['dash'], published);
    const bundle = join(host.docker, 'kg.tar');
    writeFileSync(join(published.folder, 'images.tar'), 'what docker save wrote');
    execFileSync('tar', [
      '-cf',
      bundle,
      '-C',
      published.folder,
      'channels.json',
      'channels.json.minisig',
      '1.0.0',
      'images.tar',
    ]);
    const [api, config] = [`sha256:${'a'.repeat(64)}`, `sha256:${'c'.repeat(64)}`];
    const ids = (operator: string) =>
      `registry.example/kg-operator-api:1.0.0 ${api}\nregistry.example/kg-operator-operator:1.0.0 ${operator}\n`;
    // That of another service of the same release.
    host.given('image-ids', ids(api));
    const wrong = await host.install(['--no-start', '--json'], { from: bundle });
    expect([wrong.code, errorOf(wrong).code, existsSync(host.root)]).toEqual([3, 'IMAGE_MISMATCH', false]);
    host.given('image-ids', ids(config));
    expect((await host.install(['--no-start'], { from: bundle })).code).toBe(0);
    expect(readFileSync(join(host.docker, 'loaded'), 'utf8')).toBe('what docker save wrote');
    expect(host.read('.operator/release.env')).toContain(`IMAGE_API=${api}\nIMAGE_OPERATOR=${config}\n`);
  });
});
