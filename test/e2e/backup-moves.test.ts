import { execFileSync } from 'node:child_process';
import { chmod, copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  freePort,
  type InstalledPackage,
  installPackage,
  type RunningCommand,
  start,
  until,
} from '../../packages/engine/test/installed-package.ts';
import { ADMIN_PASSWORD, type ApiAnswer, Installation } from './installation.ts';

const TEXT = 'Ada worked with Babbage on the Engine. '.repeat(3000);
const OTHER = 'another password entirely';

/** The platform in one process, from the npm package. */
class Embedded {
  readonly folder: string;
  readonly #bin: string;
  #dev: RunningCommand | undefined;
  #api = '';
  #token = '';

  constructor(folder: string, bin: string) {
    this.folder = folder;
    this.#bin = bin;
  }

  async json(args: string[]) {
    const { code, stdout, stderr } = await start(this.#bin, this.folder, [...args, '--json']).ended;
    if (stdout === '') throw new Error(`${args.join(' ')}: exit ${code}\n${stderr}`);
    return { code, document: JSON.parse(stdout) };
  }

  async ok(args: string[]) {
    const { document } = await this.json(args);
    if (!document.ok) throw new Error(`${args.join(' ')}: ${JSON.stringify(document.error)}`);
    return document.data;
  }

  async up(password: string): Promise<void> {
    const port = await freePort();
    const dev = start(this.#bin, this.folder, ['dev', '--port', String(port)], {
      KG_ADMIN_PASSWORD: password,
    });
    this.#dev = dev;
    this.#api = `http://localhost:${port}/api`;
    const ready = until(async () => ((await fetch(`${this.#api}/ready`)).ok ? true : null), 120, dev.output);
    await Promise.race([ready, dev.ended.then(({ stderr }) => Promise.reject(new Error(stderr)))]);
  }

  async down(): Promise<void> {
    this.#dev?.kill('SIGTERM');
    await this.#dev?.ended;
    this.#dev = undefined;
  }

  async logIn(password: string): Promise<{ status: number }> {
    const body = new URLSearchParams({ grant_type: 'password', username: 'admin', password });
    const response = await fetch(`${this.#api}/oauth/token`, { method: 'POST', body });
    if (response.ok) this.#token = ((await response.json()) as { access_token: string }).access_token;
    return { status: response.status };
  }

  async api<T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<ApiAnswer<T>> {
    const response = await fetch(`${this.#api}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as T };
  }
}

type Platform = Pick<Installation, 'api' | 'logIn'> | Embedded;

async function fill(platform: Platform): Promise<void> {
  for (const name of ['Ada', 'Babbage', 'The "Engine" \\ ü'])
    expect((await platform.api('POST', '/concepts', { name, description: `about ${name}` })).status).toBe(
      201,
    );
  await platform.api('POST', '/relations', { from: 'Ada', to: 'Babbage', type: 'works with' });
  expect((await platform.api('POST', '/documents', { title: 'Notes', text: TEXT })).status).toBe(201);
}

/** Everything that was written is there, and it goes on from there. */
async function expectFilled(platform: Platform, password: string): Promise<void> {
  expect((await platform.logIn(password)).status).toBe(200);
  const graph = await platform.api<{ nodes: { name: string }[]; edges: unknown[] }>('GET', '/graph');
  expect(graph.body.nodes.map(({ name }) => name).sort()).toEqual(['Ada', 'Babbage', 'The "Engine" \\ ü']);
  expect(graph.body.edges).toHaveLength(1);
  const { body } = await platform.api<{ documents: { id: string }[] }>('GET', '/documents');
  const read = await platform.api<{ text: string }>('GET', `/documents/${body.documents[0]?.id}`);
  expect(read.body.text).toBe(TEXT);
  expect((await platform.api('POST', '/concepts', { name: 'Written after the move' })).status).toBe(201);
  expect((await platform.api('POST', '/documents', { title: 'After', text: 'the move' })).status).toBe(201);
}

let installed: InstalledPackage;
let containers: Installation;
let embedded: Embedded;
let moved: Embedded;
const folders: string[] = [];
beforeAll(async () => {
  const newFolder = async () => {
    folders.push(await mkdtemp(join(tmpdir(), 'kg moves ')));
    return folders.at(-1) as string;
  };
  installed = await installPackage();
  embedded = new Embedded(await newFolder(), installed.bin);
  moved = new Embedded(await newFolder(), installed.bin);
  containers = await Installation.create({ dev: false });
  await containers.ok(['up', '--yes', '--ai-provider', 'local', '--embedding', 'local'], {
    env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD },
  });
}, 600_000);
afterAll(async () => {
  await embedded?.down();
  await moved?.down();
  for (const folder of folders) await rm(folder, { recursive: true });
  await installed?.remove();
  await containers?.destroy();
}, 120_000);

test('an embedded platform moves into containers', async () => {
  await embedded.up(OTHER);
  await embedded.logIn(OTHER);
  await fill(embedded);
  await embedded.ok(['backup', 'kit', 'new', '--export', 'kit.txt', '--yes']);
  const { backup } = await embedded.ok(['backup']);
  expect(backup).toMatchObject({ state: 'verified', counts: { vertices: 3, edges: 1, objects: 1 } });
  await embedded.down();
  await copyFile(
    join(embedded.folder, '.kg/backups', `${backup.id}.tar.age`),
    containers.path('moved.tar.age'),
  );
  await copyFile(join(embedded.folder, 'kit.txt'), containers.path('kit.txt'));
  await chmod(containers.path('kit.txt'), 0o600);
  const { document } = await containers.json([
    ...['restore', './moved.tar.age', '--kit-file', 'kit.txt', '--confirm', containers.prefix],
  ]);
  if (!document.ok) throw new Error(JSON.stringify(document.error));
  await expectFilled(containers, OTHER);
}, 600_000);

test('and back: a backup of containers is restored into an embedded platform', async () => {
  await containers.ok(['backup', 'kit', 'new', '--export', 'kit2.txt', '--yes']);
  const { document } = await containers.json<{ backup: { id: string; state: string } }>(['backup']);
  if (!document.ok) throw new Error(JSON.stringify(document.error));
  const { id } = document.data.backup;
  expect(document.data.backup.state).toBe('verified');
  const members = execFileSync('sh', ['-c', `age -d -i kit2.txt backups/${id}.tar.age | tar t`], {
    cwd: containers.root,
    encoding: 'utf8',
  });
  expect(members).toContain('database/pre-data.dump');
  await moved.up('a third password, of nobody');
  await moved.down();
  await copyFile(containers.path('backups', `${id}.tar.age`), join(moved.folder, 'moved.tar.age'));
  await copyFile(containers.path('kit2.txt'), join(moved.folder, 'kit.txt'));
  await moved.ok(['restore', './moved.tar.age', '--kit-file', 'kit.txt', '--confirm', '.kg']);
  await moved.up('a third password, of nobody');
  expect((await moved.logIn(OTHER)).status).toBe(200);
  const graph = await moved.api<{ nodes: { name: string }[]; edges: unknown[] }>('GET', '/graph');
  expect(graph.body.nodes.map(({ name }) => name).sort()).toEqual(
    ['Ada', 'Babbage', 'The "Engine" \\ ü', 'Written after the move'].sort(),
  );
  expect(graph.body.edges).toHaveLength(1);
  const { body } = await moved.api<{ documents: { id: string; title: string }[] }>('GET', '/documents');
  const texts = await Promise.all(
    body.documents.map(
      async (one) => (await moved.api<{ text: string }>('GET', `/documents/${one.id}`)).body.text,
    ),
  );
  expect(texts.sort()).toEqual([TEXT, 'the move'].sort());
  expect((await moved.api('POST', '/concepts', { name: 'Written at last' })).status).toBe(201);
  expect(await moved.ok(['status', '--exit-code'])).toMatchObject({ ok: true });
  await moved.down();
  // A backup of what came from containers is one of an embedded platform like any other.
  expect(await moved.ok(['backup'])).toMatchObject({ backup: { state: 'verified', counts: { objects: 2 } } });
  await moved.ok(['backup', 'prune', '--previous', '--yes']);
  expect((await readdir(join(moved.folder, '.kg'))).filter((name) => name.startsWith('postgres'))).toEqual([
    'postgres',
  ]);
}, 600_000);

test('a database with an extension that PGlite does not have is refused there, and nothing is changed', async () => {
  await containers.psql('CREATE EXTENSION vector;');
  const { document } = await containers.json<{ backup: { id: string } }>(['backup', '--no-verify']);
  if (!document.ok) throw new Error(JSON.stringify(document.error));
  const name = `${document.data.backup.id}.tar.age`;
  await copyFile(containers.path('backups', name), join(moved.folder, name));
  await copyFile(containers.path('kit2.txt'), join(moved.folder, 'kit.txt'));
  const before = await readdir(join(moved.folder, '.kg'));
  expect(
    await moved.json(['restore', `./${name}`, '--kit-file', 'kit.txt', '--confirm', '.kg']),
  ).toMatchObject({
    code: 3,
    document: { error: { code: 'RESTORE_IMPOSSIBLE', message: expect.stringContaining('extension vector') } },
  });
  expect(await readdir(join(moved.folder, '.kg'))).toEqual(before);
}, 300_000);
