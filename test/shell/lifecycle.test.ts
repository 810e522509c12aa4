import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { errorOf, Install, SHELLS, unavailable } from './shim.ts';

jest.setTimeout(60_000);

const hasScript = spawnSync('script', ['-qec', 'exit 0', '/dev/null']).status === 0;
if (!hasScript) unavailable('there is no `script` to make a terminal with');
const onTerminal = hasScript ? test : test.skip;

/** Listens on a free port of 127.0.0.1 (or another address). */
function listen(address = '127.0.0.1'): Promise<{ port: number; server: Server }> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, address, () => {
      const bound = server.address();
      resolve({ port: typeof bound === 'object' && bound ? bound.port : 0, server });
    });
  });
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const { port, server } = await listen();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const PORTS = { api: 0, web: 0 };
const conf = () => `API_PORT=${PORTS.api}\nWEB_PORT=${PORTS.web}\n`;
const changes = (install: Install) =>
  install.callLines().filter((line) => /^(exec|compose (up|build|pull|stop|down|restart))/.test(line));
const order = (install: Install) =>
  changes(install).map((line) => line.replace(/^exec .* kg-operator kg-operator/, 'engine'));

describe.each(SHELLS)('lifecycle under %s', (_name, shell) => {
  let install: Install;
  beforeEach(async () => {
    PORTS.api = await freePort();
    PORTS.web = await freePort();
    install = new Install(shell).write('.operator.conf', conf());
  });
  afterEach(() => install[Symbol.dispose]());

  describe('up', () => {
    test('from nothing: init, build, operator, engine with the remaining flags', async () => {
      using fresh = new Install(shell).given('engine', 'echo the answer\n');
      const result = await fresh.run(['up', '--dev', '--yes', '--admin-password-file', 'a file', '--json']);
      expect(result).toMatchObject({ code: 0, stdout: 'the answer\n' });
      expect(order(fresh)).toEqual([
        'compose build',
        'compose up -d --no-deps --wait operator',
        'engine up --yes --admin-password-file a file --json',
      ]);
      expect(fresh.read('.operator.conf')).toContain('DEV_MODE=true');
      expect(fresh.has('.env')).toBe(true);
      const build = fresh.calls().find(({ argv }) => argv[1] === 'build');
      expect(build?.env.COMPOSE_FILE).toContain('docker-compose.dev.yml');
      expect(build?.env).toMatchObject({ VERSION: '0.1.0', REVISION: 'unknown' });
      expect(build?.env.CREATED).toMatch(/^\d{4}-\d\d-\d\dT/);
    });

    test('again: .env and .operator.conf stay as they are', async () => {
      install.initialised('');
      const before = install.read('.env');
      expect((await install.run(['up'])).code).toBe(0);
      expect((await install.run(['up'])).code).toBe(0);
      expect(install.read('.env')).toBe(before);
      expect(install.read('.operator.conf')).toBe(conf());
    });

    test('from a registry: pulls what is missing, builds nothing', async () => {
      install.write('.operator.conf', `${conf()}IMAGE_SOURCE=ghcr\nIMAGE_TAG=0.1.0\n`);
      expect((await install.run(['up'])).code).toBe(0);
      expect(order(install)[0]).toBe('compose pull --policy missing');
      expect(order(install)).not.toContain('compose build');
    });

    test.each(['compose build*', 'compose up*', 'volume*'])(
      'a failing `docker %s` ends it with 6',
      async (pattern) => {
        install.given('fail', pattern);
        const result = await install.run(['up', '--json']);
        expect(result.code).toBe(6);
        errorOf(result);
        expect(order(install).filter((line) => line.startsWith('engine'))).toEqual([]);
      },
    );

    test("the engine's exit code is its own", async () => {
      install.given('engine', 'exit 4\n');
      expect((await install.run(['up'])).code).toBe(4);
    });
  });

  describe('checks before anything changes', () => {
    test.each(['up', 'start'])('%s: a port in use is named, with its setting', async (command) => {
      const { port, server } = await listen();
      install.initialised('').write('.operator.conf', `API_PORT=${PORTS.api}\nWEB_PORT=${port}\n`);
      const result = await install.run([command, '--json']);
      server.close();
      expect(result.code).toBe(3);
      expect(errorOf(result).message).toMatch(new RegExp(`port ${port} .*WEB_PORT`));
      expect(changes(install)).toEqual([]);
    });

    test('on every address, over IPv6 too, and before .env is written', async () => {
      for (const address of ['0.0.0.0', '::']) {
        const { port, server } = await listen(address).catch(() => ({ port: 0, server: undefined }));
        if (!server) continue;
        install.write('.operator.conf', `API_PORT=${port}\n`);
        const { code } = await install.run(['up']);
        server.close();
        expect([address, code]).toEqual([address, 3]);
        expect(install.has('.env')).toBe(false);
      }
    });

    test('another address of the machine is no conflict', async () => {
      const { port, server } = await listen('127.0.0.9');
      install.write('.operator.conf', `API_PORT=${port}\nWEB_PORT=${PORTS.web}\n`);
      const free = await install.run(['up']);
      install.write('.operator.conf', `API_PORT=${port}\nWEB_PORT=${PORTS.web}\nBIND_ADDRESS=0.0.0.0\n`);
      const taken = await install.run(['up']);
      server.close();
      expect([free.code, taken.code]).toEqual([0, 3]);
    });

    test("held by this project's gateway it is free; held by another's, that one is named", async () => {
      const { port, server } = await listen();
      install.write('.operator.conf', `API_PORT=${port}\nWEB_PORT=${PORTS.web}\n`);
      install.given('holder', 'kg container kg-gateway-1\n');
      const own = await install.run(['up']);
      install.given('holder', 'other container other-web-1\n');
      const others = await install.run(['up', '--json']);
      server.close();
      expect([own.code, others.code]).toEqual([0, 3]);
      expect(errorOf(others).message).toContain('other-web-1');
    });

    test.each([
      ['2.24.4', 0],
      ['v2.26.1-4', 0],
      ['2.100.0', 0],
      ['5.0.0', 0],
      ['2.24.3', 6],
      ['2.9.9', 6],
      ['1.29.2', 6],
    ])('compose plugin %s: exit %i', async (version, code) => {
      install.given('compose-version', version);
      const result = await install.run(['up', '--json']);
      expect(result.code).toBe(code);
      if (code !== 0) {
        expect(errorOf(result).message).toContain(version);
        expect(install.has('.env')).toBe(false);
      }
    });

    test.each([
      ['25.0.0', 0],
      ['29.1.2', 0],
      ['26.1.5+dfsg1', 0],
      ['24.0.9', 6],
      ['9.9.9', 6],
    ])('Docker Engine %s: exit %i', async (version, code) => {
      install.given('engine-version', version);
      const result = await install.run(['up', '--json']);
      expect(result.code).toBe(code);
      if (code !== 0) expect(errorOf(result).message).toContain(version);
    });

    test('everything wrong at once is said at once', async () => {
      const { port, server } = await listen();
      install
        .given('down')
        .given('compose-version', '2.1.0')
        .write('.operator.conf', `API_PORT=${port}\nNOPE=1\n`);
      const result = await install.run(['up', '--json']);
      server.close();
      const { message } = errorOf(result);
      expect(result.code).toBe(3);
      for (const part of ['.operator.conf:2:', 'does not answer', '2.24.4', `port ${port}`])
        expect(message).toContain(part);
      expect(changes(install)).toEqual([]);
    });

    test('Docker not installed', async () => {
      const bin = join(install.home, 'nodocker');
      const tools =
        'sh dash bash busybox awk cat date dirname grep head ls lsof od readlink sed sort tr'.split(' ');
      const found = spawnSync('sh', ['-c', 'mkdir "$0"; for t; do command -v "$t"; done', bin, ...tools], {
        encoding: 'utf8',
      });
      for (const path of found.stdout.trim().split('\n')) symlinkSync(path, join(bin, basename(path)));
      const result = await install.run(['up', '--json'], { env: { PATH: bin } });
      expect(result.code).toBe(6);
      expect(errorOf(result).message).toContain('not installed');
    });
  });

  describe('start', () => {
    beforeEach(() => {
      install.initialised('');
    });

    test('builds only what is missing, brings up the operator, then the engine', async () => {
      expect((await install.run(['start', '--infra-only'])).code).toBe(0);
      expect(order(install)).toEqual([
        'compose up -d --no-deps --wait operator',
        'engine start --infra-only',
      ]);
      install.forgetCalls();
      install.given('no-images');
      expect((await install.run(['start'])).code).toBe(0);
      expect(order(install)[0]).toBe('compose build');
      const inspected = install.callLines().find((line) => line.startsWith('image inspect'));
      expect(inspected).toBe('image inspect kg-operator-api:local kg-operator-operator:local');
    });

    test('--dry-run changes nothing', async () => {
      install.given('operator', 'running').given('no-images');
      expect((await install.run(['start', '--dry-run'])).code).toBe(0);
      expect(order(install)).toEqual(['engine start --dry-run']);
    });

    test('without .env: 3', async () => {
      using fresh = new Install(shell);
      expect((await fresh.run(['start'])).code).toBe(3);
      expect(changes(fresh)).toEqual([]);
    });
  });

  describe('stop', () => {
    test('the engine first, the operator last', async () => {
      install.initialised();
      expect((await install.run(['stop', '--json'])).code).toBe(0);
      expect(order(install)).toEqual(['engine stop --json', 'compose stop operator']);
    });

    test.each([[['--keep-infra']], [['api']], [['--dry-run']]])(
      '%j leaves the operator running',
      async (args) => {
        install.initialised();
        expect((await install.run(['stop', ...args])).code).toBe(0);
        expect(order(install)).toEqual([`engine stop ${args.join(' ')}`]);
      },
    );

    test('when the engine fails, the operator stays and the code is its own', async () => {
      install.initialised().given('engine', 'exit 7\n');
      expect((await install.run(['stop'])).code).toBe(7);
      expect(order(install)).toEqual(['engine stop']);
    });

    test.each(['', 'stopped'])('with the operator %j compose stops the rest', async (state) => {
      install.initialised(state);
      const result = await install.run(['stop', '--json']);
      expect(result.code).toBe(0);
      expect(JSON.parse(result.stdout)).toMatchObject({ schemaVersion: 1, ok: true, command: 'stop' });
      expect(changes(install).at(-1)).toBe('compose stop');
    });
  });

  describe('restart, logs, shell', () => {
    beforeEach(() => {
      install.initialised();
    });

    test('restart wants a service, and lists them', async () => {
      const result = await install.run(['restart', '--json']);
      expect(result.code).toBe(2);
      expect(errorOf(result).message).toContain('api operator web');
      expect((await install.run(['restart', 'api', 'web', '--json'])).code).toBe(0);
      expect(changes(install)).toEqual(['compose restart api web']);
    });

    test('logs go to compose; its failure is 6', async () => {
      expect(await install.run(['logs', '--tail', '5', 'api'])).toMatchObject({
        code: 0,
        stdout: 'log line\n',
      });
      expect(install.callLines()).toEqual(['compose logs --tail 5 api']);
      install.given('fail', '*logs*');
      expect((await install.run(['logs'])).code).toBe(6);
    });

    test('shell: operator unless named, without a terminal here', async () => {
      await install.run(['shell']);
      await install.run(['shell', 'postgres']);
      expect(install.callLines()).toEqual(['compose exec -T operator sh', 'compose exec -T postgres sh']);
      install.given('engine', 'exit 3\n');
      expect((await install.run(['shell'])).code).toBe(3);
      install.given('engine', 'exit 127\n');
      expect((await install.run(['shell'])).code).toBe(6);
    });

    onTerminal('shell on a terminal', async () => {
      await install.runOnTerminal(['shell', 'api']);
      expect(install.callLines()).toEqual(['compose exec api sh']);
    });
  });

  describe('teardown', () => {
    const down = () => install.calls().filter(({ argv }) => argv[1] === 'down');
    beforeEach(() => {
      install.initialised().given('volumes', 'kg_postgres-data\n');
    });

    test('without a terminal and without --yes: 2, nothing done', async () => {
      for (const args of [
        [],
        ['--no-input'],
        ['--volumes'],
        ['--volumes', '--yes'],
        ['--volumes', '--confirm', 'other'],
        ['--volumes', '--confirm'],
      ]) {
        expect([args, (await install.run(['teardown', ...args])).code]).toEqual([args, 2]);
      }
      for (const args of [['api'], ['--volume', '--yes']])
        expect((await install.run(['teardown', ...args])).code).toBe(2);
      expect(down()).toEqual([]);
    });

    test('--yes keeps the data and .env', async () => {
      expect((await install.run(['teardown', '--yes'])).code).toBe(0);
      expect(down().map(({ argv }) => argv)).toEqual([['compose', 'down', '--remove-orphans']]);
      expect(install.has('.env')).toBe(true);
    });

    test.each([[['--confirm', 'kg']], [['--confirm=kg']]])(
      '--volumes %j destroys the data; .env gets another name',
      async (args) => {
        const before = install.read('.env');
        mkdirSync(join(install.root, '.operator'));
        install.write('.operator/journal.jsonl', 'an upgrade that was cut off\n');
        const result = await install.run(['teardown', '--volumes', ...args, '--json']);
        expect(result.code).toBe(0);
        expect(JSON.parse(result.stdout)).toMatchObject({ ok: true, command: 'teardown' });
        expect(down().map(({ argv }) => argv)).toEqual([
          ['compose', 'down', '--remove-orphans', '--volumes'],
        ]);
        const removed = install.files().filter((file) => file.startsWith('.env'));
        expect(removed).toEqual([expect.stringMatching(/^\.env\.removed-\d{8}T\d{6}Z$/)]);
        expect(install.read(removed[0] ?? '')).toBe(before);
        // It is of data that is gone, and an upgrade in it that was cut off would keep the next `up` from starting.
        expect(readdirSync(join(install.root, '.operator'))).toEqual([
          expect.stringMatching(/^journal\.removed-\d{8}T\d{6}Z\.jsonl$/),
        ]);
        expect((await install.run(['init'])).code).toBe(0);
      },
    );

    test('a volume that something else still uses: said, with .env where it was', async () => {
      install.given('volumes', 'kg_postgres-data').given('held');
      const before = install.read('.env');
      const result = await install.run(['teardown', '--volumes', '--confirm', 'kg', '--json']);
      expect(result.code).toBe(6);
      expect(errorOf(result)).toMatchObject({
        code: 'VOLUMES_LEFT',
        message: expect.stringContaining('kg_postgres-data'),
      });
      expect(result.stderr).not.toContain('is gone');
      expect(install.read('.env')).toBe(before);
    });

    test('goes by labels, so that a lost .env does not keep the data alive', async () => {
      spawnSync('rm', [join(install.root, '.env')]);
      expect((await install.run(['teardown', '--volumes', '--confirm', 'kg'])).code).toBe(0);
      const [call] = down();
      expect(call?.env.COMPOSE_PROJECT_NAME).toBe('kg');
      expect(call?.env).not.toHaveProperty('COMPOSE_FILE');
      expect(call?.env).not.toHaveProperty('COMPOSE_ENV_FILES');
    });

    test('when compose fails, .env stays', async () => {
      install.given('fail', '*down*');
      expect((await install.run(['teardown', '--volumes', '--confirm', 'kg'])).code).toBe(6);
      expect(install.has('.env')).toBe(true);
    });

    onTerminal('asks on a terminal', async () => {
      const asked: [string[], string, number][] = [
        [[], 'n\n', 2],
        [['--volumes'], 'wrong\n', 2],
        [['--no-input'], 'y\n', 2],
        [[], 'y\n', 0],
        [['--volumes'], 'kg\n', 0],
      ];
      // At once, because `script` takes a second to notice the end of its input.
      await Promise.all(
        asked.map(async ([args, input, code]) => {
          using one = new Install(shell).initialised();
          const result = await one.runOnTerminal(['teardown', ...args], input);
          expect([args, result.code]).toEqual([args, code]);
          expect(one.callLines().filter((line) => line.startsWith('compose down'))).toHaveLength(
            code === 0 ? 1 : 0,
          );
        }),
      );
    });
  });
});
