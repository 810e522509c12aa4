import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import type { Channels } from '../../packages/engine/src/release/channels.ts';
import type { ReleaseImage, ReleaseManifest } from '../../packages/engine/src/release/manifest.ts';
import { parseSecretKey } from '../../packages/engine/src/release/minisign.ts';
import { formatPublicKey, newSecretKeyFile } from '../../packages/engine/test/releases.ts';
import { dockerLines, expectCode, run } from './command.ts';
import { REPOSITORY } from './images.ts';
import { type NpmRegistry, npmRegistry } from './npm-registry.ts';
import { ReleaseClone } from './release-clone.ts';
import { REGISTRY, removeFromRegistry } from './release-images.ts';

jest.setTimeout(1_200_000);

const VERSION = '9.0.0';
const prefix = `${REGISTRY}/kge2e-${randomBytes(4).toString('hex')}`;
/** No emulation and no base images of another platform are here. */
const PLATFORM = process.arch === 'arm64' ? 'linux/arm64' : 'linux/amd64';
const DRAFT = ['package', 'images', 'index', 'sbom', 'manifest', 'provenance', 'sign'];

let folder: string;
let npm: NpmRegistry;
let first: ReleaseClone;
let second: ReleaseClone;
let images: Record<string, ReleaseImage> = {};

const release = (clone: ReleaseClone, ...args: string[]) => clone.run(`release/${args[0]}.sh`, args.slice(1));
const times = (stderr: string) => [...stderr.matchAll(/^run: (.*)$/gm)].map(([, line]) => line).join(', ');
const json = async <T>(path: string) => JSON.parse(await readFile(path, 'utf8')) as T;
const list = () => json<Channels>(join(folder, 'published/channels.json'));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kge2e-pipeline-'));
  const { stdout } = expectCode(await run(join(REPOSITORY, 'test/bed/release.sh'), []));
  const bed = Object.fromEntries(
    [...stdout.matchAll(/^export (\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
  ) as Record<string, string>;
  npm = await npmRegistry(bed.VERDACCIO ?? '');
  const key = newSecretKeyFile();
  await writeFile(join(folder, 'release.key'), key, { mode: 0o600 });
  await writeFile(join(folder, 'release.pub'), `${formatPublicKey(parseSecretKey(key))}\n`);
  await writeFile(join(folder, 'npm.token'), npm.token, { mode: 0o600 });
  // Where it is published: a branch that a web server shows, and a clone of it.
  await mkdir(join(folder, 'branch.git'));
  expectCode(await run('git', ['init', '-q', '--bare', '-b', 'releases', join(folder, 'branch.git')]));
  expectCode(await run('git', ['clone', '-q', join(folder, 'branch.git'), join(folder, 'published')]));
  first = await ReleaseClone.ofWorkingTree(join(folder, 'first'), {
    ...bed,
    REGISTRY: prefix,
    PLATFORMS: PLATFORM,
    PUBLISHED: join(folder, 'published'),
    URL: 'https://releases.example.org',
    KEY_FILE: join(folder, 'release.key'),
    KG_RELEASE_KEYS: join(folder, 'release.pub'),
    NPM_REGISTRY: npm.url,
    NPM_TOKEN_FILE: join(folder, 'npm.token'),
  });
});

afterAll(async () => {
  for (const image of Object.values(images)) await removeFromRegistry(image);
  const names = await dockerLines(
    'image',
    'ls',
    '--filter',
    `reference=${prefix}/*`,
    '--digests',
    '--format',
    '{{.Repository}}@{{.Digest}}',
  );
  for (const name of names) expectCode(await run('docker', ['image', 'rm', name]));
  await npm?.stop();
  await rm(folder, { recursive: true, force: true });
});

test('from the commit of a version to a draft that was installed', async () => {
  expectCode(await release(first, 'version', VERSION));
  const { stdout, stderr } = expectCode(await release(first, 'run', VERSION, ...DRAFT, 'smoke'));
  console.warn(times(stderr));
  expect(stdout).toBe('');
  expect(stderr).toContain(`${VERSION} was installed from the draft, and showed its login page`);
  const site = join(first.root, 'out/site');
  const manifest = await json<ReleaseManifest>(join(site, VERSION, 'release.json'));
  images = manifest.images;
  expect(Object.keys(images)).toEqual(['api', 'gateway', 'operator', 'postgres', 'web']);
  for (const { name, platforms } of Object.values(images))
    expect([name, Object.keys(platforms)]).toEqual([expect.stringContaining(prefix), [PLATFORM]]);
  // The changelog is what people are told.
  const changelog = await readFile(join(REPOSITORY, 'CHANGELOG.md'), 'utf8');
  expect(manifest.notes.length).toBeGreaterThan(20);
  expect(changelog).toContain(manifest.notes);
  const publicKey = (await readFile(join(folder, 'release.pub'), 'utf8')).trim();
  const signed = [
    'channels.json',
    ...['release.json', 'SHA256SUMS', 'provenance.json'].map((name) => `${VERSION}/${name}`),
  ];
  for (const name of signed)
    expectCode(await run('minisign', ['-V', '-m', join(site, name), '-P', publicKey]));
  const left = ['ps', '-a', '--filter', 'name=kg-smoke-', '--format', '{{.Names}}'];
  expect(await dockerLines(...left)).toEqual([]);
});

test('what it is made of: every image and file by its sum, base images, and the packages in them', async () => {
  const site = join(first.root, 'out/site', VERSION);
  const { subject, predicate } = await json<{
    subject: { name: string; digest: { sha256: string } }[];
    predicate: {
      buildDefinition: { resolvedDependencies: { uri: string; digest: Record<string, string> }[] };
    };
  }>(join(site, 'provenance.json'));
  const sums = new Map(subject.map(({ name, digest }) => [name, digest.sha256]));
  for (const { name, digest, platforms } of Object.values(images)) {
    if (digest) expect(sums.get(name)).toBe(digest.slice('sha256:'.length));
    expect(sums.get(`${name}#${PLATFORM}`)).toBe(platforms[PLATFORM]?.digest.slice('sha256:'.length));
  }
  for (const [name, sum] of Object.entries(await first.sums(`out/site/${VERSION}`)))
    if (!/\.minisig$|^provenance\.json$/.test(name)) expect([name, sums.get(name)]).toEqual([name, sum]);
  const [commit, , ...bases] = predicate.buildDefinition.resolvedDependencies;
  expect(commit?.digest.gitCommit).toBe((await first.ok('git', 'rev-parse', 'HEAD')).trim());
  for (const name of ['debian:', 'node:', 'caddy:'])
    expect(bases.map(({ uri }) => uri)).toContainEqual(expect.stringContaining(`docker://${name}`));
  const packages = async (name: string) =>
    (await json<{ packages: { name: string }[] }>(join(site, 'sbom', `${name}.spdx.json`))).packages.map(
      (one) => one.name,
    );
  const platform = PLATFORM.replace('/', '-');
  expect(await packages(`postgres-${platform}`)).toEqual(
    expect.arrayContaining(['postgresql-17', 'postgresql-17-age']),
  );
  expect(await packages(`gateway-${platform}`)).toContain('github.com/caddyserver/caddy/v2');
  expect(await packages('npm-packages')).toEqual(expect.arrayContaining(['hono', 'dockerode']));
});

test('another clone of the same commit makes the same, byte for byte', async () => {
  second = await first.again(join(folder, 'second'));
  // The full run takes nothing from the first one's cache.
  if (process.env.KG_TEST_FULL === '1') second.env.NO_CACHE = '1';
  console.warn(times(expectCode(await release(second, 'run', VERSION, ...DRAFT)).stderr));
  const made = await first.sums('out/site');
  expect(Object.keys(made).length).toBeGreaterThan(15);
  expect(await second.sums('out/site')).toEqual(made);
  const [build, other] = await Promise.all([first.sums('out/build'), second.sums('out/build')]);
  for (const name of ['digests.json', `kg-operator-${VERSION}.tgz`])
    expect([name, other[name]]).toEqual([name, build[name]]);
});

test('npm: published once, found to be there the second time, and refused if it is another', async () => {
  expectCode(await release(first, 'npm', VERSION));
  expect(expectCode(await release(first, 'npm', VERSION)).stderr).toContain('already');
  const viewed = await first.ok(
    'npm',
    'view',
    'kg-operator',
    'versions',
    'dist-tags.latest',
    '--json',
    '--registry',
    npm.url,
  );
  expect(JSON.parse(viewed)).toEqual({ versions: [VERSION], 'dist-tags.latest': VERSION });
  await writeFile(join(second.root, `out/build/kg-operator-${VERSION}.tgz`), 'another');
  const refused = await release(second, 'npm', VERSION);
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('is another')]);
});

test('published, no channel is at it; then one is, and install.sh finds it there', async () => {
  expectCode(await release(first, 'publish', VERSION));
  expectCode(await release(first, 'publish', VERSION)); // after a push that failed
  expect(await list()).toMatchObject({ counter: 1, channels: {}, releases: [{ version: VERSION }] });
  expectCode(await release(first, 'channel', 'stable', VERSION));
  expect(await list()).toMatchObject({ counter: 2, channels: { stable: VERSION } });
  const unknown = await release(first, 'channel', 'stable', '9.9.9');
  expect([unknown.code, (await list()).counter]).toEqual([3, 2]);

  // As others see it: what was pushed.
  const seen = join(folder, 'seen');
  expectCode(await run('git', ['clone', '-q', join(folder, 'branch.git'), seen]));
  const flags = ['--from', seen, '--dir', join(folder, 'nowhere'), '--yes', '--dry-run'];
  const { stderr } = expectCode(await run('sh', [join(seen, 'install.sh'), ...flags]));
  expect(stderr).toContain(`Verified: kg-operator ${VERSION}`);
  expect(existsSync(join(folder, 'nowhere'))).toBe(false);
});

test('the list is renewed, a version is withdrawn, and what was published stays as it is', async () => {
  const before = await list();
  const later = { ISSUED_AT: new Date(Date.now() + 3_600_000).toISOString(), DAYS: '30' };
  expectCode(await first.run('release/channel.sh', ['renew'], later));
  expect(await list()).toMatchObject({ counter: before.counter + 1, channels: before.channels });
  // A draft from before the list changed would take it back.
  const old = await release(first, 'publish', VERSION);
  expect([old.code, old.stderr]).toEqual([3, expect.stringMatching(/counter/)]);
  const only = await release(first, 'channel', 'withdraw', VERSION, 'it was a test');
  expect([only.code, only.stderr]).toEqual([3, expect.stringContaining('channel-withdrawn')]);
  expect((await list()).counter).toBe(before.counter + 1);
});
