import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { type AddressInfo, connect, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import tar from 'tar-stream';
import type { Clock } from '../../src/adapters/clock.ts';
import { type BundleSource, bundleSource } from '../../src/release/bundle-source.ts';
import { DOCUMENT_LIMIT } from '../../src/release/document.ts';
import { httpsSource, redirectTarget } from '../../src/release/https-source.ts';
import { openSource } from '../../src/release/open-source.ts';
import { fetchChannels, fetchRelease, lastChannels, openRoom } from '../../src/release/room.ts';
import { directorySource } from '../../src/release/source.ts';
import { releaseStore } from '../../src/release/store.ts';
import { newKey, publish, releaseInput, trust, writeFiles } from '../releases.ts';

const key = newKey();
const files = publish([releaseInput('1.0.0'), releaseInput('1.1.0')], { keys: [key] });
let folder: string;
const open: Server[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kg-releases-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(async () => {
  for (const server of open.splice(0)) {
    (server as http.Server).closeAllConnections?.();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function listen<S extends Server>(server: S): Promise<number> {
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
/** A clock that notes how long it should have waited. */
function impatient(): Clock & { pauses: number[] } {
  const pauses: number[] = [];
  return { pauses, now: () => 0, date: () => new Date(), sleep: async (ms) => void pauses.push(ms) };
}
const fileServer = (): http.RequestListener => (request, response) => {
  const bytes = files.get((request.url ?? '').replace('/kg/', ''));
  response.writeHead(bytes ? 200 : 404).end(bytes);
};
async function serve(listener: http.RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listen(http.createServer(listener))}/kg`;
}

describe('the state directory', () => {
  test('holds whole files only, and what a killed process left is removed', async () => {
    const store = releaseStore(join(folder, 'state'));
    const at = (name: string) => join(folder, 'state/releases', name);
    expect([await store.readLast(), await store.readRelease('1.0.0')]).toEqual([null, null]);
    const last = {
      ...{ counter: 1, sha256: '', signedBy: [], source: 'x', fetchedAt: '' },
      ...{ bytes: Buffer.from('{"a":"ü"}\n'), signatures: Buffer.from('s') },
    };
    await store.writeLast(last);
    // No process has that number: https://www.kernel.org/doc/html/latest/admin-guide/sysctl/kernel.html#pid-max
    const [dead, alive] = ['4194305', String(process.ppid)].map((pid) =>
      at(`last-channels.json.${pid}.partial`),
    );
    for (const path of [dead, alive]) await writeFile(path as string, 'half');
    await store.writeLast({ ...last, counter: 2 });
    expect(await store.readLast()).toEqual({ ...last, counter: 2 });
    expect((await readdir(at('.'))).sort()).toEqual(['last-channels.json', basename(alive as string)]);
    expect((await stat(at('last-channels.json'))).mode & 0o777).toBe(0o644); // the console reads it

    // Without its signatures a release.json is none.
    await store.writeRelease('1.0.0', last);
    expect(await store.readRelease('1.0.0')).toEqual({ bytes: last.bytes, signatures: last.signatures });
    await rm(at('1.0.0/release.json.minisig'));
    expect(await store.readRelease('1.0.0')).toBeNull();
    await writeFile(at('2.0.0'), 'a file where a folder should be');
    await expect(store.writeRelease('2.0.0', last)).rejects.toMatchObject({ code: 'STATE_UNWRITABLE' });
  });
});

describe('a web server', () => {
  test('gives lists and releases', async () => {
    const source = httpsSource(await serve(fileServer()), { clock: impatient(), env: {} });
    const room = {
      ...openRoom({ stateDirectory: join(folder, 'web') }, () => new Date('2026-11-23T00:00:00Z'), {}),
      keys: trust(key),
    };
    const { channels } = await fetchChannels(room, source);
    expect((await fetchRelease(room, source, channels, '1.1.0')).version).toBe('1.1.0');
    expect((await lastChannels(room))?.source).toBe(source.address);
    await expect(source.read('1.9.0/release.json', 100)).rejects.toMatchObject({
      code: 'SOURCE_FILE_MISSING',
      exitCode: 3,
    });
    const state = await readFile(join(folder, 'web/releases/last-channels.json'), 'utf8');
    expect(JSON.parse(state)).toMatchObject({ counter: 1, signedBy: [key.id] });
    await writeFile(join(folder, 'web/releases/last-channels.json'), state.slice(0, 20));
    await expect(lastChannels(room)).rejects.toMatchObject({ code: 'STATE_DAMAGED', exitCode: 3 });
  });

  test('that is busy or failing is asked again, later and later, as it wishes', async () => {
    const answers = [503, 429, 200];
    const url = await serve((_request, response) => {
      const status = answers.shift() ?? 200;
      response.writeHead(status, status === 429 ? { 'retry-after': '7' } : {}).end('bytes');
    });
    const clock = impatient();
    expect(String(await httpsSource(url, { clock, env: {} }).read('x', 100))).toBe('bytes');
    expect(clock.pauses).toEqual([expect.any(Number), 7000]);
    expect(clock.pauses[0]).toBeGreaterThanOrEqual(500);
    expect(clock.pauses[0]).toBeLessThanOrEqual(750);
  });

  test('that stays so is given up after four tries', async () => {
    let asked = 0;
    const url = await serve((_request, response) => {
      asked += 1;
      response.writeHead(500, { 'retry-after': '86400' }).end();
    });
    const clock = impatient();
    await expect(httpsSource(url, { clock, env: {} }).read('x', 100)).rejects.toMatchObject({
      code: 'SOURCE_UNREACHABLE',
      exitCode: 6,
      message: expect.stringMatching(/after 4 tries: the server answers 500/),
      hint: expect.stringMatching(/use a bundle/),
    });
    expect([asked, clock.pauses]).toEqual([4, [30_000, 30_000, 30_000]]);
  });

  test('whose name does not resolve, that refuses, hangs up, or does not answer', async () => {
    const hangup = await listen(http.createServer((request) => request.socket.destroy()));
    const half = await listen(
      http.createServer((_request, response) => {
        response.writeHead(200, { 'content-length': '10' }).write('half');
        setTimeout(() => response.destroy(), 20);
      }),
    );
    const silent = await listen(http.createServer(() => undefined));
    const closed = await listen(http.createServer());
    await new Promise((resolve) => open.pop()?.close(resolve));
    for (const [address, message] of [
      ['https://releases.invalid/', /ENOTFOUND|EAI_AGAIN/],
      [`http://127.0.0.1:${hangup}/`, /socket hang up/],
      [`http://127.0.0.1:${half}/`, /aborted|broke off/],
      [`http://127.0.0.1:${silent}/`, /timeout/],
      [`http://127.0.0.1:${closed}/`, /ECONNREFUSED/],
    ] as const) {
      const clock = impatient();
      await expect(
        httpsSource(address, { clock, env: {}, attemptTimeoutMs: 200 }).read('x', 100),
      ).rejects.toMatchObject({ code: 'SOURCE_UNREACHABLE', message: expect.stringMatching(message) });
      expect([address, clock.pauses.length]).toEqual([address, 3]);
    }
  });

  test('with another answer is not asked again', async () => {
    const url = await serve((_request, response) => response.writeHead(403).end());
    const clock = impatient();
    await expect(httpsSource(url, { clock, env: {} }).read('x', 100)).rejects.toMatchObject({
      code: 'SOURCE_UNREACHABLE',
      message: expect.stringMatching(/answers 403/),
    });
    expect(clock.pauses).toEqual([]);
  });

  test('is left as soon as a file is too large, or Ctrl-C was pressed', async () => {
    let sent = 0;
    const url = await serve((_request, response) => {
      const timer = setInterval(() => {
        sent += 65_536;
        response.write(Buffer.alloc(65_536));
      }, 1);
      response.on('close', () => clearInterval(timer));
    });
    await expect(
      httpsSource(url, { clock: impatient(), env: {} }).read('x', DOCUMENT_LIMIT),
    ).rejects.toMatchObject({
      code: 'SOURCE_FILE_TOO_LARGE',
    });
    expect(sent).toBeLessThan(8 * DOCUMENT_LIMIT);
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 20);
    await expect(
      httpsSource(url, { clock: impatient(), env: {}, signal: abort.signal }).read('x', 2 ** 40),
    ).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });

  test('redirects, but never to plain HTTP elsewhere', async () => {
    const target = await serve(fileServer());
    const url = await serve((request, response) =>
      response.writeHead(302, { location: `${target}${request.url?.slice(3)}` }).end(),
    );
    const clock = impatient();
    expect(await httpsSource(url, { clock, env: {} }).read('channels.json', DOCUMENT_LIMIT)).toEqual(
      files.get('channels.json'),
    );
    const away = await serve((_request, response) =>
      response.writeHead(301, { location: 'http://example.org/channels.json' }).end(),
    );
    await expect(httpsSource(away, { clock, env: {} }).read('x', 100)).rejects.toMatchObject({
      code: 'SOURCE_REDIRECT',
    });
    const loop = await serve((request, response) => response.writeHead(302, { location: request.url }).end());
    await expect(httpsSource(loop, { clock, env: {} }).read('x', 100)).rejects.toMatchObject({
      message: expect.stringMatching(/without end/),
    });
    expect(clock.pauses).toEqual([]);
  });

  const web = new URL('https://releases.example/kg/');
  test.each([
    'http://releases.example/x',
    'http://127.0.0.1/x',
    'ftp://releases.example/x',
    'file:///etc/passwd',
    'http://[',
  ])('on the web does not redirect to %s', (location) =>
    expect(() => redirectTarget(web, location, web)).toThrow(
      expect.objectContaining({ code: 'SOURCE_REDIRECT' }),
    ),
  );
  test('on the web redirects to https, relative too', () => {
    expect(redirectTarget(web, '../other', web).href).toBe('https://releases.example/other');
    expect(redirectTarget(web, 'https://cdn.example/x', web).href).toBe('https://cdn.example/x');
  });

  test.each([
    'http://releases.example/',
    'ftp://releases.example/',
    'https://me:secret@releases.example/',
    'https://x/?a',
    'https://',
  ])('%s is refused, and not repeated', async (address) => {
    const refused = openSource(address);
    await expect(refused).rejects.toMatchObject({ code: 'SOURCE_INVALID', exitCode: 2 });
    await expect(refused).rejects.not.toMatchObject({ message: expect.stringContaining('secret') });
  });

  test('over TLS: a certificate that is not known is refused at once; one that is, is not; by a proxy, too', async () => {
    const [cert, secret] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
        ...subject,
        '-keyout',
        secret,
        '-out',
        cert,
      ],
      { stdio: 'pipe' },
    );
    const server = https.createServer(
      { cert: await readFile(cert), key: await readFile(secret) },
      fileServer(),
    );
    const url = `https://localhost:${await listen(server)}/kg`;
    const clock = impatient();
    await expect(httpsSource(url, { clock, env: {} }).read('x', 100)).rejects.toMatchObject({
      code: 'SOURCE_UNREACHABLE',
      hint: expect.stringMatching(/clock of this host/),
    });
    expect(clock.pauses).toEqual([]);

    const tunnels: (string | undefined)[] = [];
    const proxy = http.createServer();
    proxy.on('connect', ({ url: to }, socket) => {
      tunnels.push(to);
      const [host, port] = (to ?? '').split(':');
      const upstream = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        upstream.pipe(socket).pipe(upstream);
      });
      for (const end of [socket, upstream]) end.on('error', () => socket.destroy());
      socket.on('close', () => upstream.destroy());
      upstream.on('close', () => socket.destroy());
    });
    const https_proxy = `http://127.0.0.1:${await listen(proxy)}`;
    const before = tls.getCACertificates('default');
    tls.setDefaultCACertificates([...before, await readFile(cert, 'utf8')]);
    try {
      for (const env of [{}, { https_proxy }, { https_proxy, no_proxy: 'localhost' }])
        expect(await httpsSource(url, { clock, env }).read('channels.json', DOCUMENT_LIMIT)).toEqual(
          files.get('channels.json'),
        );
    } finally {
      tls.setDefaultCACertificates(before);
    }
    expect(tunnels).toEqual([new URL(url).host]);
  });
});

describe('a folder', () => {
  test('gives what a web server gives', async () => {
    const place = join(folder, 'mirror');
    await writeFiles(place, files);
    const source = await openSource(place);
    for (const [name, bytes] of files) expect(await source.read(name, DOCUMENT_LIMIT)).toEqual(bytes);
    await expect(source.read('2.0.0/release.json', 100)).rejects.toMatchObject({
      code: 'SOURCE_FILE_MISSING',
    });
    await expect(source.read('channels.json', 10)).rejects.toMatchObject({ code: 'SOURCE_FILE_TOO_LARGE' });
    await expect(directorySource(place).read('1.0.0', 10_000)).rejects.toMatchObject({
      code: 'SOURCE_UNREACHABLE',
    });
    await expect(openSource(join(folder, 'nowhere'))).rejects.toMatchObject({
      code: 'SOURCE_UNREACHABLE',
      hint: expect.stringMatching(/beneath the installation/),
    });
  });
});

describe('a bundle', () => {
  const config = 'd'.repeat(64);
  const manifest = JSON.stringify([
    { Config: `blobs/sha256/${config}`, RepoTags: ['kg-operator-api:1.1.0'], Layers: [] },
    { Config: `${'e'.repeat(64)}.json`, RepoTags: null, Layers: [] },
  ]);
  const layer = Buffer.alloc(3_000_000, 7);

  async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    return Buffer.concat(chunks);
  }
  /** A tar; a member given as a string instead of bytes is a link to it. */
  async function pack(members: [string, Buffer | string][]): Promise<Buffer> {
    const tarball = tar.pack();
    for (const [name, bytes] of members)
      if (typeof bytes === 'string') tarball.entry({ name, type: 'symlink', linkname: bytes });
      else tarball.entry({ name }, bytes);
    tarball.finalize();
    return collect(tarball as AsyncIterable<Uint8Array>);
  }
  const saved = (text = manifest) =>
    pack([
      ['blobs/sha256/0', layer],
      [`blobs/sha256/${config}`, Buffer.from('{}')],
      ['old/layer.tar', '../other/layer.tar'],
      ['manifest.json', Buffer.from(text)],
      [`${'e'.repeat(64)}.json`, Buffer.from('{}')],
    ]);
  async function bundle(name: string, members: [string, Buffer | string][]): Promise<BundleSource> {
    await writeFile(join(folder, name), await pack(members));
    return bundleSource(join(folder, name));
  }

  test('made by the stock tar gives what a web server gives, and its images', async () => {
    const place = join(folder, 'to-bundle');
    await writeFiles(place, files);
    const images = await saved(); // once: it holds the time
    await writeFile(join(place, 'images.tar'), images);
    const path = join(folder, 'stock.tar');
    execFileSync('tar', [
      '-C',
      place,
      '-cf',
      path,
      './channels.json',
      'channels.json.minisig',
      '1.0.0',
      '1.1.0',
      'images.tar',
    ]);
    const source = (await openSource(path)) as BundleSource;
    for (const [name, bytes] of files) expect(await source.read(name, DOCUMENT_LIMIT)).toEqual(bytes);
    expect(await source.images()).toEqual([
      { config: `sha256:${config}`, tags: ['kg-operator-api:1.1.0'], target: null },
      { config: `sha256:${'e'.repeat(64)}`, tags: [], target: null },
    ]);
    expect((await collect(await source.openImages())).equals(images)).toBe(true);
    await expect(source.read('9.9.9/release.json', 100)).rejects.toMatchObject({
      code: 'SOURCE_FILE_MISSING',
    });
    await expect(source.read('channels.json', 10)).rejects.toMatchObject({ code: 'SOURCE_FILE_TOO_LARGE' });
  });

  test('names the manifest or index that leads to a configuration, by which containerd calls the image', async () => {
    const blobs = new Map<string, Buffer>();
    const blob = (content: unknown) => {
      const bytes = Buffer.from(JSON.stringify(content));
      const hex = createHash('sha256').update(bytes).digest('hex');
      blobs.set(`blobs/sha256/${hex}`, bytes);
      return { digest: `sha256:${hex}`, file: `blobs/sha256/${hex}` };
    };
    const [plain, nested, lost, forged] = ['a', 'b', 'c', 'd'].map((architecture) => blob({ architecture }));
    const manifestOf = (config: { digest: string } | undefined) =>
      blob({ schemaVersion: 2, config: { digest: config?.digest }, layers: [] });
    const [ofPlain, ofNested, ofLost] = [plain, nested, lost].map(manifestOf);
    const index = blob({
      schemaVersion: 2,
      manifests: [{ digest: ofLost?.digest }, { digest: ofNested?.digest }],
    });
    // A manifest under a digest that is not its own.
    const wrong = `sha256:${'f'.repeat(64)}`;
    blobs.set(
      `blobs/sha256/${'f'.repeat(64)}`,
      Buffer.from(JSON.stringify({ config: { digest: forged?.digest } })),
    );
    blobs.delete(lost?.file as string);
    const targets = [{ digest: wrong }, { digest: ofPlain?.digest }, { digest: index.digest }];
    const source = await bundle('layout.tar', [
      [
        'images.tar',
        await pack([
          ...blobs,
          ['index.json', Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: targets }))],
          [
            'manifest.json',
            Buffer.from(
              JSON.stringify(
                [plain, nested, lost, forged].map((one) => ({ Config: one?.file, RepoTags: null })),
              ),
            ),
          ],
        ]),
      ],
    ]);
    expect(await source.images()).toEqual([
      { config: plain?.digest, target: ofPlain?.digest, tags: [] },
      { config: nested?.digest, target: index.digest, tags: [] },
      // Docker 26 with containerd's store forgets configuration and layers of what it saves by digest: that is no image.
      { config: forged?.digest, target: null, tags: [] },
    ]);
  });

  test('is read up to its images only', async () => {
    // What follows them would be refused.
    const source = await bundle('order.tar', [
      ['channels.json', Buffer.from('{}')],
      ['images.tar', await saved()],
      ['link', '/etc/passwd'],
    ]);
    expect(String(await source.read('channels.json', 100))).toBe('{}');
    await expect(source.read('link', 100)).rejects.toMatchObject({ code: 'SOURCE_FILE_MISSING' });
  });

  test('without images has none', async () => {
    const source = await bundle('small.tar', [['channels.json', Buffer.from('{}')]]);
    expect(await source.images()).toEqual([]);
    await expect(source.openImages()).rejects.toMatchObject({ code: 'SOURCE_FILE_MISSING' });
  });

  test('keeps nothing that is too large', async () => {
    const source = await bundle('large.tar', [
      ['channels.json', Buffer.alloc(DOCUMENT_LIMIT + 1)],
      ['1.0.0/release.json', Buffer.from('{}')],
    ]);
    await expect(source.read('channels.json', 2 ** 40)).rejects.toMatchObject({
      code: 'SOURCE_FILE_TOO_LARGE',
    });
    expect(String(await source.read('1.0.0/release.json', 100))).toBe('{}');
    const many = await bundle(
      'many.tar',
      [1, 2, 3].map((n) => [`${n}`, Buffer.alloc(6 * DOCUMENT_LIMIT)]),
    );
    await expect(many.read('1', 100)).rejects.toMatchObject({ code: 'BUNDLE_INVALID' });
  });

  test.each([
    ['a link', [['channels.json', '/etc/passwd']], /no plain file/],
    [
      'a name twice',
      [
        ['channels.json', Buffer.from('a')],
        ['./channels.json', Buffer.from('b')],
      ],
      /there twice/,
    ],
  ] as [string, [string, Buffer | string][], RegExp][])(
    'with %s is refused',
    async (_what, members, message) => {
      const source = await bundle('bad.tar', members);
      await expect(source.read('channels.json', 100)).rejects.toMatchObject({
        code: 'BUNDLE_INVALID',
        exitCode: 3,
        message: expect.stringMatching(message),
      });
    },
  );

  test('that is compressed, cut, or no tar at all is refused', async () => {
    const whole = await bundle('whole.tar', [
      ['channels.json', Buffer.from('{}')],
      ['images.tar', await saved()],
    ]);
    execFileSync('gzip', ['-k', join(folder, 'whole.tar')]);
    await expect(bundleSource(join(folder, 'whole.tar.gz')).read('channels.json', 100)).rejects.toMatchObject(
      {
        code: 'BUNDLE_INVALID',
        hint: expect.stringMatching(/not compressed/),
      },
    );
    await truncate(join(folder, 'whole.tar'), 2_000_000);
    // The list is whole, the images are not.
    expect(String(await whole.read('channels.json', 100))).toBe('{}');
    await expect(whole.images()).rejects.toMatchObject({ code: 'BUNDLE_INVALID' });
    await expect(whole.openImages().then(collect)).rejects.toMatchObject({ code: 'BUNDLE_INVALID' });
    await mkdir(join(folder, 'texts'), { recursive: true });
    await writeFile(join(folder, 'texts/no.tar'), 'x'.repeat(2000));
    await expect(bundleSource(join(folder, 'texts/no.tar')).read('x', 100)).rejects.toMatchObject({
      code: 'BUNDLE_INVALID',
    });
  });

  test.each(['{', '{}', '[{"Config":"../../etc/passwd"}]', '[null]'])(
    'whose list of images is %j is refused',
    async (text) => {
      const source = await bundle('images.tar', [['images.tar', await saved(text)]]);
      await expect(source.images()).rejects.toMatchObject({ code: 'BUNDLE_INVALID' });
    },
  );
});
