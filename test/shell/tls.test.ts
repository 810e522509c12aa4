import { chmodSync, chownSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Host } from './host.ts';
import { Published } from './published.ts';
import { errorOf, Install, run, SHELLS } from './shim.ts';

jest.setTimeout(120_000);

const FILES = 'TLS_MODE=files\nPUBLIC_HOST=kg.example.org\n';
const INTERNAL = 'TLS_MODE=internal\nPUBLIC_HOST=kg.example.org\n';
const PORTS = 'API_PORT=39181\nWEB_PORT=39182\n';
/** Root owns what it writes; whoever else runs this can't give it away, and need not. */
const OWNER = process.getuid?.() === 0 ? 1000 : (process.getuid?.() ?? 1000);

describe.each(SHELLS)('operator.sh with TLS, under %s', (_name, shell) => {
  let install: Install;
  beforeEach(() => {
    install = new Install(shell).initialised();
  });
  afterEach(() => install[Symbol.dispose]());

  const giveFiles = (owner = OWNER) => {
    const directory = join(install.root, 'tls');
    mkdirSync(directory, { recursive: true });
    for (const file of ['tls/cert.pem', 'tls/key.pem']) install.write(file, 'PEM', 0o600);
    for (const path of [directory, join(directory, 'cert.pem'), join(directory, 'key.pem')])
      chownSync(path, owner, owner);
  };
  const problems = async (...args: string[]) => {
    const result = await install.run([...(args.length > 0 ? args : ['status']), '--json']);
    if (result.code === 0) return [];
    expect(result.code).toBe(3);
    return errorOf(result).message.split('\n');
  };

  test('an overlay more, and nothing where it is off', async () => {
    const files = async () => {
      install.forgetCalls();
      expect((await install.run(['status'])).code).toBe(0);
      const [call] = install.calls();
      return [call?.env.COMPOSE_FILE?.match(/compose[.a-z]*yml/g), call?.env.GATEWAY_USER];
    };
    install.write('.operator.conf', '');
    expect(await files()).toEqual([['compose.yml'], undefined]);
    install.write('.operator.conf', `${INTERNAL}DEV_MODE=true\n`);
    expect(await files()).toEqual([['compose.yml', 'compose.dev.yml', 'compose.tls.yml'], undefined]);
    install.write('.operator.conf', FILES);
    giveFiles();
    expect(await files()).toEqual([['compose.yml', 'compose.tls.yml'], String(OWNER)]);
  });

  test('env says as whom the gateway runs, whoever calls', async () => {
    install.write('.operator.conf', FILES);
    giveFiles();
    const script = `eval "$(${shell.join(' ')} ./operator.sh env)"; echo "$GATEWAY_USER"`;
    const env = install.environment({ GATEWAY_USER: '0' });
    const { stdout } = await run('sh', ['-c', script], { cwd: install.root, env });
    expect(stdout).toBe(`${OWNER}\n`);
  });

  test('files: both must be there, no links, of one user who is not root, and the key private', async () => {
    install.write('.operator.conf', FILES);
    expect(await problems()).toEqual([
      'tls/cert.pem: TLS_MODE=files wants a file there, not a link',
      'tls/key.pem: TLS_MODE=files wants a file there, not a link',
    ]);
    giveFiles();
    expect(await problems()).toEqual([]);
    chmodSync(join(install.root, 'tls/key.pem'), 0o640);
    expect(await problems()).toEqual([
      `tls/key.pem: others can read it: chmod 600 '${install.root}/tls/key.pem'`,
    ]);
    rmSync(join(install.root, 'tls/key.pem'));
    symlinkSync('cert.pem', join(install.root, 'tls/key.pem'));
    expect(await problems()).toEqual(['tls/key.pem: TLS_MODE=files wants a file there, not a link']);
    if (process.getuid?.() !== 0) return;
    rmSync(join(install.root, 'tls/key.pem'));
    giveFiles(0);
    const owner = expect.stringMatching(/one user, not root: chown -R 1000 '.*\/tls'$/);
    expect(await problems()).toEqual([owner]);
    chownSync(join(install.root, 'tls/key.pem'), 1000, 1000);
    expect(await problems()).toEqual([owner]);
  });

  test.each(['0.0.0.0', '192.0.2.7', '12.7.0.1'])(
    'up and start on %s want TLS or the explicit word for it; other commands go on as before',
    async (address) => {
      install.write('.operator.conf', `${PORTS}BIND_ADDRESS=${address}\n`);
      for (const command of ['up', 'start']) {
        const [problem, ...others] = await problems(command);
        expect(problem).toContain(`BIND_ADDRESS=${address} without TLS`);
        expect(problem).toContain('TLS_MODE, or ALLOW_PLAIN_HTTP=true');
        expect(others).toEqual([]);
      }
      expect(install.callLines().filter((call) => /compose (up|build|pull)/.test(call))).toEqual([]);
      for (const command of ['status', 'upgrade', 'stop']) expect(await problems(command)).toEqual([]);
      for (const words of ['ALLOW_PLAIN_HTTP=true\n', INTERNAL]) {
        install.write('.operator.conf', `${PORTS}BIND_ADDRESS=${address}\n${words}`);
        expect(await problems('start')).toEqual([]);
      }
    },
  );

  test('127.x is this machine', async () => {
    install.write('.operator.conf', `${PORTS}BIND_ADDRESS=127.0.0.2\n`);
    expect(await problems('start')).toEqual([]);
  });

  test('everything that is wrong, at once', async () => {
    install.write('.operator.conf', 'TLS_MODE=acme\nBIND_ADDRESS=0.0.0.0\nACME_URL=http://ca\n');
    expect((await problems('start')).map((line) => line.split(':')[1])).toEqual(['3', '1', '1']);
  });

  test('start makes tls/, so that Docker does not', async () => {
    install.write('.operator.conf', `${PORTS}${INTERNAL}`);
    expect(await problems('status')).toEqual([]);
    expect(install.has('tls')).toBe(false);
    expect(await problems('start')).toEqual([]);
    expect(install.has('tls')).toBe(true);
  });

  test('cert goes to the engine', async () => {
    install.write('.operator.conf', INTERNAL);
    await install.run(['cert', 'status']);
    expect(install.callLines()[0]).toMatch(/kg-operator cert status$/);
  });
});

describe.each(SHELLS)('install.sh with TLS, under %s', (_name, shell) => {
  let published: Published;
  beforeAll(async () => {
    published = (await new Published().add('1.0.0')).issue();
  });
  afterAll(() => published[Symbol.dispose]());

  test('other networks want TLS or the explicit word for it; before anything is downloaded', async () => {
    using host = new Host(shell, published);
    const result = await host.install(['--json', '--set', 'BIND_ADDRESS=0.0.0.0']);
    expect(result.code).toBe(3);
    expect(JSON.parse(result.stdout).error.details).toEqual([
      expect.stringMatching(/^PLAIN_HTTP: BIND_ADDRESS=0\.0\.0\.0 .*--set ALLOW_PLAIN_HTTP=true$/),
    ]);
    expect(host.has('operator.sh')).toBe(false);
    const allowed = ['--dry-run', '--set', 'BIND_ADDRESS=0.0.0.0', '--set', 'ALLOW_PLAIN_HTTP=true'];
    expect((await host.install(allowed)).code).toBe(0);
  });

  test('an installation that is there goes on as it was', async () => {
    using host = new Host(shell, published);
    expect((await host.install(['--no-start'])).code).toBe(0);
    writeFileSync(join(host.root, '.operator.conf'), `${PORTS}BIND_ADDRESS=0.0.0.0\n`);
    expect((await host.install(['--no-start'])).code).toBe(0);
  });

  test('says where it is', async () => {
    using host = new Host(shell, published);
    const tls = ['--set', 'TLS_MODE=internal', '--set', 'PUBLIC_HOST=kg.example.org'];
    const result = await host.install(['--json', ...tls, '--set', 'BIND_ADDRESS=0.0.0.0']);
    expect([result.code, result.stderr]).toEqual([0, expect.anything()]);
    expect(JSON.parse(result.stdout).data.url).toBe('https://kg.example.org:39182');
  });
});
