import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { docker, dockerLines, expectCode, run } from './command.ts';
import { Installation } from './installation.ts';
import { holdLock, LOCK_HOLDER } from './lock.ts';
import { until } from './wait.ts';

jest.setTimeout(900_000);

describe('what a person or a machine can do wrong', () => {
  let kg: Installation;
  let settings: string;
  beforeAll(async () => {
    kg = await Installation.create();
    settings = await readFile(kg.path('.operator.conf'), 'utf8');
    await kg.ok(['init']);
  });
  afterAll(() => kg.destroy());

  const ownImages = async () =>
    (await dockerLines('image', 'ls', '--format', '{{.Repository}}:{{.Tag}}')).filter((image) =>
      image.endsWith(`:${kg.prefix}`),
    );

  test.each([
    ['an unknown key', 'COLOUR=blue', /\.operator\.conf:7: .*COLOUR/],
    ['a quoted value', 'BIND_ADDRESS="127.0.0.1"', /\.operator\.conf:7: /],
    ['a key set twice', 'IMAGE_SOURCE=local', /\.operator\.conf:7: .*twice/],
    ['a space around =', 'BIND_ADDRESS = 127.0.0.1', /\.operator\.conf:7: /],
  ])('%s in .operator.conf: file and line, exit 3, nothing started', async (_what, line, message) => {
    await writeFile(kg.path('.operator.conf'), `${settings}${line}\n`);
    try {
      for (const command of ['start', 'up', 'status', 'stop']) {
        const { code, document, result } = await kg.json([command]);
        expect(code).toBe(3);
        expect(document).toMatchObject({ ok: false, error: { message: expect.stringMatching(message) } });
        expect(result.stderr).toMatch(message);
      }
    } finally {
      await writeFile(kg.path('.operator.conf'), settings);
    }
    expect(await kg.leftovers()).toEqual([]);
  });

  test('a port in use is named before anything is built or started', async () => {
    const listener = await listen(kg.webPort);
    // A tag of its own: had anything been built, its images would be there.
    await writeFile(kg.path('.operator.conf'), settings.replace(/^IMAGE_TAG=.*$/m, `IMAGE_TAG=${kg.prefix}`));
    try {
      const { code, document } = await kg.json(['start']);
      expect(code).toBe(3);
      expect(document.error.message).toContain(`port ${kg.webPort} is in use`);
      expect(document.error.message).toContain('WEB_PORT');
      expect(await kg.leftovers()).toEqual([]);
      expect(await ownImages()).toEqual([]);
    } finally {
      await writeFile(kg.path('.operator.conf'), settings);
      await new Promise((resolve) => listener.close(resolve));
    }
  });

  test('before the first start, commands say that there is nothing yet', async () => {
    expect((await kg.json(['stop'])).code).toBe(0);
    expect((await kg.json(['teardown', '--volumes', '--confirm', 'another'])).code).toBe(2);
  });

  test('start --infra-only works after all of that', async () => {
    await kg.ok(['start', '--infra-only']);
    expect(await kg.isRunning('postgres')).toBe(true);
  });

  test('the operator container killed: status makes a new one', async () => {
    await docker('rm', '-f', `${kg.prefix}-operator`);
    const { code, document } = await kg.json<{ layers: { name: string; ok: boolean }[] }>(['status']);
    expect(code).toBe(0);
    expect(document.data.layers.find(({ name }) => name === 'schema')).toMatchObject({ ok: true });
    expect(await kg.isRunning('operator')).toBe(true);
  });

  test('the operator container stopped: the same', async () => {
    await docker('stop', '-t', '1', `${kg.prefix}-operator`);
    expect((await kg.json(['config', 'show'])).code).toBe(0);
  });

  test('while one command holds the lock, another exits 5 and names it; when it dies the lock is free', async () => {
    const release = await holdLock(kg);
    for (const command of [['start', '--infra-only'], ['stop']]) {
      const { code, document } = await kg.json(command);
      expect(code).toBe(5);
      expect(document.error).toMatchObject({
        code: 'LOCKED',
        message: expect.stringContaining(`"${LOCK_HOLDER.command}" is running since ${LOCK_HOLDER.since}`),
      });
    }
    expect(await kg.isRunning('postgres')).toBe(true);
    expect((await kg.json(['status'])).code).toBe(0); // reading needs no lock

    await release();
    await until('the lock is free', async () => (await kg.json(['start', '--infra-only'])).code === 0, {
      seconds: 60,
    });
  });

  test('Ctrl-C during start: exit 130, the lock is free, and start goes on from there', async () => {
    await kg.ok(['stop', '--keep-infra']);
    await kg.ok(['stop', 'postgres']);
    const result = await kg.terminal('./operator.sh start --infra-only', [
      { prompt: /Start .*postgres/, type: '\x03' },
    ]);
    expect(result.code).toBe(130);
    await kg.ok(['start', '--infra-only']);
    expect(await kg.isRunning('postgres')).toBe(true);
  });

  test('another .env than the data was made with is refused, and the right one is welcome again', async () => {
    await kg.ok(['config', 'embedding', 'local']);
    const right = await readFile(kg.path('.env'), 'utf8');
    const wrong = right.replace(/^ENCRYPTION_KEY=.*$/m, `ENCRYPTION_KEY=${'ab'.repeat(32)}`);
    await writeFile(kg.path('.env'), wrong);
    const { code, document } = await kg.json(['start']);
    await writeFile(kg.path('.env'), right);
    expect(code).toBe(4);
    expect(document.error.code).toBe('WRONG_ENCRYPTION_KEY');
    expect(JSON.stringify(document)).not.toContain('ab'.repeat(32));
    expect((await kg.json(['start', '--infra-only'])).code).toBe(0);
  });

  test('a database whose password is another: exit 3, .env is named', async () => {
    const right = await readFile(kg.path('.env'), 'utf8');
    await writeFile(
      kg.path('.env'),
      right.replace(/^POSTGRES_PASSWORD=.*$/m, `POSTGRES_PASSWORD=${'cd'.repeat(24)}`),
    );
    const { code, document } = await kg.json(['migrate']);
    await writeFile(kg.path('.env'), right);
    expect(code).toBe(3);
    expect(document.error).toMatchObject({
      code: 'DATABASE_PASSWORD',
      hint: expect.stringContaining('.env'),
    });
  });

  test('flags and commands that do not exist: exit 2', async () => {
    for (const args of [
      ['nonsense'],
      ['start', '--nonsense'],
      ['status', '--nonsense'],
      ['config', 'ai-provider'],
    ])
      expect((await kg.run(args)).code).toBe(2);
  });

  test('Docker does not answer: exit 6 says so', async () => {
    const env = { DOCKER_HOST: 'unix:///nowhere/docker.sock' };
    for (const args of [['start'], ['up', '--yes'], ['teardown', '--yes']]) {
      const { code, document } = await kg.json(args, { env });
      expect(code).toBe(6);
      expect(document.error.message).toMatch(/Docker/);
    }
    expectCode(await kg.run(['status'], { env }), 6);
    for (const args of [['help'], ['version'], ['start', '--help']]) await kg.ok(args, { env });
  });

  test('the repository itself is untouched by all of this', async () => {
    const { stdout } = expectCode(await run('ls', ['-A', kg.path('docker')]));
    expect(stdout).not.toMatch(/\.env|\.operator/);
  });
});

function listen(port: number): Promise<Server> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
