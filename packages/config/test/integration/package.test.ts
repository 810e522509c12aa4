import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type EmbeddedServer, embeddedServer } from '../../../engine/test/embedded-server.ts';
import * as library from '../../src/index.ts';
import { openDatabase } from '../../src/index.ts';
import { applyMigrations, configure, KEY } from '../contract/database.ts';

const run = promisify(execFile);
const here = fileURLToPath(new URL('../../', import.meta.url));
const modules = join(here, '../../node_modules');

/** A project of somebody else's, in which the built package and what it depends on are installed. */
let project: string;
let server: EmbeddedServer;
let readme: string;
let example: string;
beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'kg-config-'));
  await run('node', [join(here, 'build.js'), join(project, 'node_modules/@kg-operator/config')]);
  for (const name of await readdir(modules)) {
    if (name.startsWith('.') || name === '@kg-operator') continue;
    await symlink(join(modules, name), join(project, 'node_modules', name));
  }
  await writeFile(join(project, 'package.json'), '{"type": "module"}');
  readme = await readFile(join(here, 'README.md'), 'utf8');
  example = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
  server = await embeddedServer();
  await applyMigrations(server.settings);
  const db = openDatabase(server.settings);
  await configure(db);
  await db.destroy();
}, 120_000);
afterAll(async () => {
  await server.close();
  await rm(project, { recursive: true });
});

test('the example of the README runs as it stands, on the package as others would install it', async () => {
  await writeFile(join(project, 'example.js'), example);
  const { port, password } = server.settings;
  const env = {
    PATH: process.env.PATH,
    DATABASE_URL: `postgres://kg@127.0.0.1:${port}/kg`,
    POSTGRES_PASSWORD: password.reveal(),
    ENCRYPTION_KEY: KEY.reveal(),
  };
  const { stdout, stderr } = await run('node', ['example.js'], { cwd: project, env });
  expect([stdout, stderr]).toEqual(['asks gpt-5-mini of openai\nKnowledge graph\n', '']);
});

test('the example compiles against the package’s declarations, which are checked too', async () => {
  await mkdir(join(project, 'src'));
  await writeFile(join(project, 'src/example.ts'), example);
  const options = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2024', '--types', 'node'];
  const { stdout } = await run('tsc', [...options, 'src/example.ts'], { cwd: project });
  expect(stdout).toBe('');
});

test('the table of errors has every error, and every name that the README gives in code exists', () => {
  const errors = Object.entries(library)
    .filter(([, value]) => typeof value === 'function' && value.prototype instanceof Error)
    .map(([name]) => name);
  const documented = [...readme.matchAll(/^\| `([A-Z]\w+)` \| /gm)].map(([, name]) => name);
  expect(documented.filter((name) => name !== 'Secret').sort()).toEqual(errors.sort());
  const functions = [...readme.matchAll(/^\| (`.*?) \| /gm)].flatMap(([, names = '']) =>
    [...names.matchAll(/`([a-zA-Z]+)/g)].map(([, name = '']) => name),
  );
  expect(functions.length).toBeGreaterThan(25);
  for (const name of functions) expect(library).toHaveProperty(name);
});
