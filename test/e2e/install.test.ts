import { chmod, cp, mkdir, readdir, readFile, realpath, rm, symlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { STANDALONE_FILES } from '../../packages/engine/src/release/assets.ts';
import type { ReleaseManifest } from '../../packages/engine/src/release/manifest.ts';
import { docker, expectCode, onTerminal, type Result, run } from './command.ts';
import { ADMIN_PASSWORD, Installation } from './installation.ts';
import { markedBlocks } from './page.ts';
import { Publisher } from './releases.ts';
import { serveFolder } from './serve-folder.ts';

jest.setTimeout(600_000);

/** The arrow: from the first of a list to its last, `local`. */
const UP = '\x1b[A';

let publisher: Publisher;
let server: Awaited<ReturnType<typeof serveFolder>>;
let url: string;

beforeAll(async () => {
  publisher = await Publisher.create();
  await publisher.add('1.0.0');
  await publisher.issue(['--set', 'stable=1.0.0']);
  server = await serveFolder(publisher.folder);
  url = server.url;
}, 900_000);
afterAll(async () => {
  server?.close();
  await publisher?.remove();
});

interface InstallOptions {
  /** Of install.sh. */
  flags?: string[];
  /** The shell, and what it is run by. */
  shell?: string;
  env?: Record<string, string>;
}

/** As a person does it: `curl … | sh`. */
function install(
  kg: Installation,
  { flags = [], shell = 'dash', env = {} }: InstallOptions = {},
): Promise<Result> {
  const all = ['--dir', kg.root, '--from', url, '--yes', ...flags];
  return run(
    'bash',
    ['-euo', 'pipefail', '-c', `curl -fsSL "$1/install.sh" | ${shell} -s -- "\${@:2}"`, 'bash', url, ...all],
    {
      cwd: '/',
      env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD, ...env },
    },
  );
}
const settings = (kg: Installation) => [
  ...[
    '--set',
    `CONTAINER_PREFIX=${kg.prefix}`,
    '--set',
    `API_PORT=${kg.apiPort}`,
    '--set',
    `WEB_PORT=${kg.webPort}`,
  ],
];
const LOCAL = ['--', '--ai-provider', 'local', '--embedding', 'local'];

async function expectLoginPage(kg: Installation): Promise<void> {
  const page = await fetch(`http://127.0.0.1:${kg.webPort}/`);
  expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('<title>')]);
  expect((await kg.logIn()).status).toBe(200);
}

describe('the life of an installation', () => {
  let kg: Installation;
  beforeAll(async () => {
    kg = await Installation.planned();
  });
  afterAll(() => kg?.destroy());

  test('curl | sh on an empty directory ends at a login page', async () => {
    const result = expectCode(await install(kg, { flags: [...settings(kg), '--json', ...LOCAL] }));
    const { data } = JSON.parse(result.stdout) as {
      data: { url: string; seconds: number; steps: { name: string; at: number }[] };
    };
    console.warn(
      `installed in ${data.seconds} s: ${data.steps.map(({ name, at }) => `${at} s ${name}`).join(', ')}`,
    );
    expect(data.url).toBe(`http://127.0.0.1:${kg.webPort}`);
    await expectLoginPage(kg);
    const containers = Object.values(await kg.containers()).filter(({ Config }) =>
      Config.Image.includes('kg-operator'),
    );
    // By digest, and nothing else.
    expect(containers.map(({ Config }) => Config.Image)).toEqual(
      containers.map(() => expect.stringMatching(/^127\.0\.0\.1:5000\/.*@sha256:[0-9a-f]{64}$/)),
    );
    await kg.api('POST', '/documents', { title: 'Kept', text: 'This text must outlive everything.' });
  });

  test('the operator image carries the very files that were installed', async () => {
    const folder = join(dirname(kg.root), 'from the image');
    await docker('cp', `${kg.prefix}-operator:/opt/kg-operator/standalone/.`, folder);
    for (const [, name] of STANDALONE_FILES)
      expect([name, await readFile(join(folder, name), 'utf8')]).toEqual([
        name,
        await readFile(kg.path(name), 'utf8'),
      ]);
    expect((await kg.ok(['self-update'])).stderr).toContain('already');
  });

  test('the next release over it: the files are new, what runs is not touched; upgrade and self-update follow', async () => {
    await publisher.add('1.0.1', { policy: { rollbackTo: '1.0.0' } });
    await publisher.issue(['--set', 'stable=1.0.1']);
    const before = await kg.containerIds();
    const result = expectCode(await install(kg, { shell: 'bash' }));
    expect(result.stdout).toContain('./operator.sh upgrade --to 1.0.1');
    expect(await kg.containerIds()).toEqual(before);
    expect((await kg.ok(['version'])).stdout).toBe('kg-operator 1.0.1\n');
    await expectLoginPage(kg);

    await kg.takeReleases(publisher);
    await cp(join(publisher.folder, 'install.sh'), kg.path('releases', 'install.sh'));
    const keys = kg.path('releases', 'release.pub');
    await run('sh', ['-c', 'cat >"$1"', 'sh', keys], { input: await publisher.publicKey() });
    kg.environment = { KG_RELEASES: kg.path('releases'), KG_RELEASE_KEYS: keys };
    await kg.ok(['upgrade', '--to', '1.0.1', '--yes', '--no-backup']);
    expect((await kg.ok(['self-update'])).stderr).toContain('already');
    await run('sh', ['-c', 'echo "# edited" >>"$1"', 'sh', kg.path('docker-compose.yml')]);
    await kg.ok(['self-update']);
    expect(await readFile(kg.path('docker-compose.yml'), 'utf8')).not.toContain('# edited');
    expect(await readFile(kg.path('.operator/previous-files/docker-compose.yml'), 'utf8')).toContain(
      '# edited',
    );
    await expectLoginPage(kg);
  });

  test('an operator image whose operator.sh does not answer: self-update falls back, and the installer mends it', async () => {
    const broken = `RUN sed -i "s/^main() {/main() { echo 'this one is broken' >\\&2; exit 1/" standalone/operator.sh`;
    await publisher.add('1.0.2', { policy: { rollbackTo: '1.0.1' }, lines: { operator: [broken] } });
    await publisher.issue(['--set', 'stable=1.0.2']);
    await kg.takeReleases(publisher);
    await run('sh', ['-c', 'cat >"$1"', 'sh', kg.path('releases', 'release.pub')], {
      input: await publisher.publicKey(),
    });
    await kg.ok(['upgrade', '--to', '1.0.2', '--yes', '--no-backup']);
    const before = await readFile(kg.path('operator.sh'), 'utf8');
    const failed = await kg.run(['self-update']);
    expect(failed).toMatchObject({ code: 7, stderr: expect.stringContaining('the old files are back') });
    expect(failed.stderr).toContain('this one is broken');
    expect(await readFile(kg.path('operator.sh'), 'utf8')).toBe(before);
    expect(await readdir(kg.path('.operator'))).not.toContain('next-files');
    expect((await kg.ok(['version'])).stdout).toBe('kg-operator 1.0.1\n');
    await kg.ok(['status']);

    expectCode(await install(kg));
    expect((await kg.ok(['version'])).stdout).toBe('kg-operator 1.0.2\n');
    await expectLoginPage(kg);
  });

  test('uninstalled, the data stays; installed again, it is the same data and the same login', async () => {
    const secrets = await readFile(kg.path('.env'), 'utf8');
    const removed = expectCode(await install(kg, { flags: ['--uninstall'] }));
    expect(removed.stdout).toContain(`${kg.prefix}_postgres-data`);
    expect(Object.keys(await kg.containers())).toEqual([]);
    expect((await readdir(kg.root)).filter((name) => /operator\.sh|compose|garage/.test(name))).toEqual([]);
    expectCode(await install(kg, { shell: 'busybox sh' }));
    expect(await readFile(kg.path('.env'), 'utf8')).toBe(secrets);
    await expectLoginPage(kg);
    const { body } = await kg.api<{ documents: { title: string }[] }>('GET', '/documents');
    expect(JSON.stringify(body)).toContain('Kept');
  });
});

test('a bundle: nothing comes from a registry, and every image is the one that was signed', async () => {
  const kg = await Installation.planned();
  try {
    const { images } = JSON.parse(
      await readFile(join(publisher.folder, '1.0.0/release.json'), 'utf8'),
    ) as ReleaseManifest;
    const tags = Object.values(images).map(({ name }) => `${name}:1.0.0`);
    for (const tag of tags) await docker('pull', '-q', tag);
    const folder = dirname(kg.root);
    await docker('image', 'save', '--output', join(folder, 'images.tar'), ...tags);
    const bundle = join(folder, 'kg-1.0.0.tar');
    const documents = (await readdir(publisher.folder)).filter((name) => name !== 'install.sh');
    expectCode(
      await run('tar', ['-cf', bundle, '-C', publisher.folder, ...documents, '-C', folder, 'images.tar']),
    );
    await rm(join(folder, 'images.tar'));
    for (const tag of tags) await docker('image', 'rm', tag);
    const flags = ['--from', bundle, '--version', '1.0.0', ...settings(kg), ...LOCAL];
    const result = expectCode(await install(kg, { flags }));
    expect(result.stderr).not.toContain('Pulling');
    await expectLoginPage(kg);
    const configs = Object.values(images).flatMap(({ platforms }) =>
      Object.values(platforms).flatMap(({ config, digest }) => [config, digest]),
    );
    for (const { Config } of Object.values(await kg.containers()))
      if (!Config.Image.startsWith('dxflrs/')) expect(configs).toContain(Config.Image);
  } finally {
    await kg.destroy();
  }
});

test('on a terminal: three questions, none of them for a password, and the address at which the first admin is made', async () => {
  const kg = await Installation.planned();
  try {
    const words = ['--dir', kg.root, '--from', url, ...settings(kg)].map((word) => `'${word}'`).join(' ');
    const result = expectCode(
      await onTerminal(
        `curl -fsSL '${url}/install.sh' | dash -s -- ${words}`,
        [
          { prompt: /Install kg-operator .*\[Y\/n\]/, type: '\r' },
          { prompt: /Which AI provider/, type: `${UP}\r` },
          { prompt: /embeddings\?/, type: '\r' },
        ],
        { cwd: '/' },
      ),
    );
    const [, token] = /\/claim#([\w-]{43})/.exec(result.stdout) ?? [];
    const claimed = await kg.api('POST', '/claim', { token, password: ADMIN_PASSWORD });
    expect(claimed.status).toBe(200);
    await expectLoginPage(kg);
    expect((await kg.ok(['config', 'show'])).stdout).toContain('Everything is configured.');
  } finally {
    await kg.destroy();
  }
});

const asRoot = process.getuid?.() === 0 ? test : test.skip;
asRoot(
  'docs/getting-started.md as it stands, by somebody who may use Docker and is not root, under busybox',
  async () => {
    const kg = await Installation.planned('kg-operator');
    try {
      const home = dirname(kg.root);
      const plugin = await realpath(join(homedir(), '.docker/cli-plugins/docker-compose')).catch(() => null);
      for (const folder of ['.docker/cli-plugins', 'bin', 'tmp'])
        await mkdir(join(home, folder), { recursive: true });
      if (plugin) await cp(plugin, join(home, '.docker/cli-plugins/docker-compose'));
      await symlink((await run('sh', ['-c', 'command -v busybox'])).stdout.trim(), join(home, 'bin/sh'));
      expectCode(await run('chown', ['-R', '65534:65534', home]));
      await chmod(dirname(home), 0o711); // of this run, and root's
      // The group of the socket, whatever it is here.
      const group = (await run('stat', ['-c', '%g', '/var/run/docker.sock'])).stdout.trim();
      const blocks = await markedBlocks('getting-started.md', 'run');
      const follow = async (name: string) => {
        const script = blocks.get(name)?.replaceAll('https://releases.example.org', url) ?? 'exit 99';
        const as = [
          '--reuid=65534',
          '--regid=65534',
          `--groups=${group}`,
          'bash',
          '-euo',
          'pipefail',
          '-c',
          script,
        ];
        const env = {
          ...{ HOME: home, DOCKER_CONFIG: join(home, '.docker'), TMPDIR: join(home, 'tmp') },
          ...{ PATH: `${home}/bin:${process.env.PATH}`, KG_RELEASES: url, KG_INSTALL_YES: '1' },
          ...{
            KG_INSTALL_SET: settings(kg)
              .filter((word) => word !== '--set')
              .join(' '),
          },
          ...{ KG_ADMIN_PASSWORD: ADMIN_PASSWORD, KG_AI_PROVIDER: 'local', KG_EMBEDDING: 'local' },
        };
        return expectCode(await run('setpriv', as, { cwd: '/', env }));
      };
      expect([...blocks.keys()]).toEqual(['install', 'look', 'backup', 'remove']);
      const { stdout, stderr } = await follow('install');
      const alike = (text: string) =>
        text
          .replaceAll(home, '/home/ada')
          .replaceAll(url, 'https://releases.example.org')
          .replace(/\d+/g, 'N');
      const said = alike(`${stderr}${stdout}`).split('\n');
      for (const line of alike((await markedBlocks('getting-started.md', 'says')).get('install') ?? 'nothing')
        .trimEnd()
        .split('\n'))
        expect(said).toContain(line);
      await expectLoginPage(kg);
      expect((await run('stat', ['-c', '%u', kg.root])).stdout.trim()).toBe('65534');
      await follow('look');
      await follow('backup');
      expect((await readdir(kg.path('backups'))).some((name) => name.endsWith('.tar.age'))).toBe(true);
      await follow('remove');
      expect(Object.keys(await kg.containers())).toEqual([]);
      expect(await readdir(kg.root)).toEqual(expect.arrayContaining(['.env', 'backups']));
    } finally {
      await kg.removeByLabel();
      await kg.processes.stop();
      await rm(dirname(kg.root), { recursive: true, force: true });
    }
  },
);
