import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { parseEnvFile } from '../../src/model/env-file.ts';
import {
  freePort,
  type InstalledPackage,
  installPackage,
  type RunningCommand,
  start,
  until,
} from '../installed-package.ts';

jest.setTimeout(120_000);

const PASSWORD = 'correct horse battery';
let installed: InstalledPackage;
const running: RunningCommand[] = [];
beforeAll(async () => {
  installed = await installPackage();
});
afterAll(async () => {
  for (const command of running) command.kill('SIGKILL');
  await Promise.all(running.map(({ ended }) => ended));
  await installed.remove();
});

/** A folder with a space in its name, and what is run in it. */
async function place(name: string) {
  const folder = join(installed.folder, name);
  await mkdir(folder, { recursive: true });
  const begin = (args: string[], env: Record<string, string> = {}) => {
    const command = start(installed.bin, folder, args, env);
    running.push(command);
    return command;
  };
  return {
    folder,
    begin,
    run: async (args: string[], env?: Record<string, string>) => begin(args, env).ended,
    /** Starts `dev` and waits until it is ready. */
    async dev(args: string[] = [], env: Record<string, string> = {}) {
      const command = begin(['dev', '--port', String(await freePort()), ...args], env);
      const record = await until(() => recordOf(folder, command.pid), 60, command.output);
      await until(async () => (/Ctrl-C stops it/.test(command.output()) ? true : null), 10, command.output);
      return { ...command, url: record.url };
    },
  };
}

async function recordOf(folder: string, pid: number): Promise<{ pid: number; url: string } | null> {
  const record = JSON.parse(await readFile(join(folder, '.kg/dev.json'), 'utf8')) as {
    pid: number;
    url: string;
  };
  return record.pid === pid ? record : null;
}

/** How psql would connect: the port of the running process, the password of the data directory. */
async function loopback(folder: string): Promise<pg.ClientConfig> {
  const { postgresPort } = JSON.parse(await readFile(join(folder, '.kg/dev.json'), 'utf8'));
  const password =
    parseEnvFile(await readFile(join(folder, '.kg/.env'), 'utf8')).values.get('POSTGRES_PASSWORD') ?? '';
  return { host: '127.0.0.1', port: postgresPort, user: 'kg', database: 'kg', password };
}

async function login(url: string, password = PASSWORD) {
  const answer = await fetch(`${url}/api/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'password', username: 'admin', password }),
  });
  const { access_token } = (await answer.json()) as { access_token?: string };
  if (!access_token) throw new Error(`no login: ${answer.status}`);
  return async (method: string, path: string, body?: unknown) => {
    const response = await fetch(`${url}/api${path}`, {
      method,
      headers: { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, never[]> };
  };
}

describe('the package', () => {
  test('is small, and complete by itself', () => {
    expect(installed.bytes).toBeLessThan(3_000_000);
    expect(
      readdirSync(join(installed.folder, 'node_modules')).filter((name) => !name.startsWith('.')),
    ).toEqual(['@electric-sql', 'kg-operator']);
    const root = join(installed.folder, 'node_modules/kg-operator');
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    expect(Object.keys(dependencies)).toEqual(['@electric-sql/pglite', '@electric-sql/pglite-age']);
    expect(existsSync(join(root, 'src'))).toBe(false);
  });

  test('--help, --version and completion answer', async () => {
    const { run } = await place('help');
    expect((await run(['--version'])).stdout).toMatch(/^kg-operator\/\d/);
    expect((await run(['--help'])).stdout).toContain('dev');
    expect(await run(['completion', 'bash'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('complete '),
    });
  });

  test('migrate new and migrate lint need no database and no checkout: the parser is in the package', async () => {
    const { run, folder } = await place('own migrations');
    const made = await run(['migrate', 'new', 'Add orders', '--dir', 'db']);
    expect(made).toMatchObject({ code: 0, stdout: `${join('db', '000001_add_orders.sql')}\n` });
    expect(await run(['migrate', 'lint', '--dir', 'db'])).toMatchObject({ code: 0 });
    await writeFile(join(folder, 'db/000001_add_orders.sql'), '-- kind: expand\nTRUNCATE app.orders;\n');
    const { code, stdout } = await run(['migrate', 'lint', '--dir', 'db', '--json']);
    expect(code).toBe(8);
    expect(JSON.parse(stdout).data.findings).toMatchObject([{ rule: 'ban-truncate', line: 2, column: 1 }]);
  });

  test('nothing is made by looking: without data each command says what to do', async () => {
    const { run, folder } = await place('empty');
    for (const args of [['migrate'], ['config', 'show'], ['config', 'embedding', 'local']])
      expect(await run(args)).toMatchObject({ code: 3, stderr: expect.stringContaining('kg-operator dev') });
    expect(await run(['status', '--json'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('no database'),
    });
    expect(readdirSync(folder)).toEqual([]);
  });

  test.each(['start', 'stop', 'up', 'versions'])('%s is for containers, and says so', async (command) => {
    const { run } = await place('empty');
    const { code, stderr } = await run([command]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/^Error: .*Docker.*\nNext: .*kg-operator dev/);
  });

  test('migrate --database-url: a password in it is warned of, and never repeated', async () => {
    const { run } = await place('url');
    const url = `postgres://kg:hunter2-hunter2@127.0.0.1:${await freePort()}/kg`;
    const { code, stdout, stderr } = await run(['migrate', '--database-url', url]);
    expect(code).toBe(7);
    expect(stderr).toMatch(/Warning: .*process list/);
    expect(stdout + stderr).not.toContain('hunter2');
    expect(await run(['migrate', '--database-url', 'nonsense'])).toMatchObject({ code: 2 });
  });
});

describe('dev', () => {
  test('from nothing to a graph; a restart keeps it; other commands work meanwhile and after', async () => {
    const { run, dev, folder } = await place('from nothing');
    const first = await dev(['--demo'], { KG_ADMIN_PASSWORD: PASSWORD });
    expect(first.output()).not.toContain(PASSWORD);
    expect(statSync(join(folder, '.kg/.env')).mode & 0o777).toBe(0o600);
    const secrets = readFileSync(join(folder, '.kg/.env'), 'utf8');

    const page = await fetch(first.url);
    const html = await page.text();
    expect([page.status, html]).toEqual([200, expect.stringContaining('<div id="app">')]);
    const script = /src="(\/assets\/[^"]+\.js)"/.exec(html)?.[1] ?? '';
    expect((await fetch(first.url + script)).headers.get('content-type')).toContain('javascript');
    expect((await fetch(`${first.url}/assets/none.js`)).status).toBe(404);
    expect((await fetch(`${first.url}/%2e%2e/%2e%2e/package.json`)).headers.get('content-type')).toContain(
      'html',
    );

    const call = await login(first.url);
    const graph = (await call('GET', '/graph')).body;
    expect(graph.nodes?.length).toBeGreaterThan(10);
    expect(graph.edges?.length).toBeGreaterThan(5);
    const made = await call('POST', '/extract', {
      title: 'Mine',
      text: 'We saw Ada Lovelace meet Charles Babbage.',
    });
    expect(made.status).toBe(200);

    const status = async () => JSON.parse((await run(['status', '--json'])).stdout).data;
    expect(await status()).toMatchObject({ ok: true, url: first.url });
    const shown = await Promise.all([run(['config', 'show']), run(['migrate']), run(['config', 'garage'])]);
    for (const { code, stderr } of shown) expect([code, stderr]).toEqual([0, '']);
    expect(await run(['dev'])).toMatchObject({ code: 5, stderr: expect.stringContaining(first.url) });

    const client = new pg.Client(await loopback(folder));
    await client.connect();
    // A kill alone would not show it: the system keeps what was written. A power cut does not.
    expect((await client.query('SHOW fsync')).rows).toEqual([{ fsync: 'on' }]);
    await client.end();

    first.kill('SIGINT');
    expect(await first.ended).toMatchObject({ code: 0 });
    expect(readdirSync(join(folder, '.kg')).sort()).toEqual(['.env', 'lock', 'objects', 'postgres']);

    expect(await status()).toMatchObject({ ok: false, next: [expect.stringContaining('dev')] });
    expect(await run(['config', 'admin', '--password-stdin'], {})).toMatchObject({ code: 2 });
    expect(await run(['config', 'admin'], { KG_ADMIN_PASSWORD: 'another long password' })).toMatchObject({
      code: 0,
    });
    // Two that would open the directory: one waits for the other.
    const both = await Promise.all([run(['config', 'show']), run(['config', 'show'])]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);

    const second = await dev(['--demo']);
    await expect(login(second.url)).rejects.toThrow('no login');
    const again = await login(second.url, 'another long password');
    expect((await again('GET', '/graph')).body.nodes?.length).toBe((graph.nodes?.length ?? 0) + 2);
    expect((await again('GET', '/documents')).body.documents).toHaveLength(2);
    expect(readFileSync(join(folder, '.kg/.env'), 'utf8')).toBe(secrets);
    second.kill('SIGTERM');
    expect(await second.ended).toMatchObject({ code: 0 });
  });

  test('a generated password is shown once and opens the door; --reset wants the name', async () => {
    const { run, dev, folder } = await place('generated');
    const first = await dev();
    const password = /Log in\s+admin \/ (\S{20})\s/.exec(first.output())?.[1] ?? '';
    await login(first.url, password);
    first.kill('SIGINT');
    await first.ended;
    const kept = readdirSync(join(folder, '.kg'), { recursive: true, encoding: 'utf8' })
      .map((name) => join(folder, '.kg', name))
      .filter((path) => statSync(path).isFile());
    expect(kept.length).toBeGreaterThan(100);
    for (const path of kept) expect([path, readFileSync(path).includes(password)]).toEqual([path, false]);

    for (const args of [[], ['--yes'], ['--confirm', 'kg']])
      expect(await run(['dev', '--reset', ...args])).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('--confirm .kg'),
      });
    await writeFile(join(folder, '.kg/notes.txt'), 'not ours');
    const second = await dev(['--reset', '--confirm', '.kg'], { KG_ADMIN_PASSWORD: PASSWORD });
    expect(second.output()).not.toContain(password);
    expect((await (await login(second.url))('GET', '/documents')).body.documents).toEqual([]);
    expect(await run(['dev', '--reset', '--confirm', '.kg'])).toMatchObject({ code: 5 });
    second.kill('SIGINT');
    await second.ended;
    expect(existsSync(join(folder, '.kg/notes.txt'))).toBe(true);
  });

  test('a port in use is named, and nothing is made', async () => {
    const { run, folder } = await place('port');
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    expect(await run(['dev', '--port', String(port)])).toMatchObject({
      code: 3,
      stderr: expect.stringContaining(`port ${port} is in use`),
    });
    expect(readdirSync(folder)).toEqual([]);
    other.close();
  });

  test('kill -9 while writing: it opens again, and what was confirmed is there', async () => {
    const { dev, folder } = await place('killed');
    let confirmed: { id: string; text: string }[] = [];
    for (const round of [1, 2, 3]) {
      const process = await dev([], { KG_ADMIN_PASSWORD: PASSWORD });
      const call = await login(process.url);
      const writers = Array.from({ length: 4 }, async (_, writer) => {
        for (let n = 0; ; n += 1) {
          const text = `We know Person${String.fromCharCode(65 + writer)} met Thing${round} in Place${n}. ${'x'.repeat(2000)}`;
          const { status, body } = await call('POST', '/extract', {
            title: `r${round} w${writer} n${n}`,
            text,
          });
          if (status !== 200) throw new Error(`status ${status}`);
          confirmed.push({ id: (body.document as unknown as { id: string }).id, text });
        }
      });
      const before = confirmed.length;
      const stopped = Promise.allSettled(writers);
      await until(async () => (confirmed.length >= before + 15 ? true : null), 30, process.output);
      process.kill('SIGKILL');
      await stopped;
      expect(await process.ended).toMatchObject({ signal: 'SIGKILL' });
      expect(existsSync(join(folder, '.kg/dev.json'))).toBe(true);
    }
    const survivor = await dev();
    const call = await login(survivor.url);
    expect((await call('GET', '/ready')).body).toMatchObject({ ready: true });
    expect(confirmed.length).toBeGreaterThanOrEqual(45);
    for (const { id, text } of confirmed)
      expect((await call('GET', `/documents/${id}`)).body.text).toBe(text);
    const names = new Set(
      ((await call('GET', '/graph?limit=2000')).body.nodes as unknown as { name: string }[]).map(
        ({ name }) => name,
      ),
    );
    for (const { text } of confirmed) expect(names).toContain(/ (Place\d+)/.exec(text)?.[1]);
    confirmed = [];
    survivor.kill('SIGINT');
    await survivor.ended;
  });

  test('killed while the database was being made: the next start makes it anew', async () => {
    const { begin, dev, folder } = await place('half made');
    const process = begin(['dev', '--port', '0']);
    await until(
      async () => (existsSync(join(folder, '.kg/postgres.creating')) ? true : null),
      30,
      process.output,
    );
    process.kill('SIGKILL');
    await process.ended;
    const second = await dev([], { KG_ADMIN_PASSWORD: PASSWORD });
    await login(second.url);
    expect(existsSync(join(folder, '.kg/postgres.creating'))).toBe(false);
    second.kill('SIGINT');
    await second.ended;
  });
});
