import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ENV_TEXT, errorOf, Install, SHELLS, unavailable } from './shim.ts';

const hasScript = spawnSync('script', ['-qec', 'exit 0', '/dev/null']).status === 0;
if (!hasScript) unavailable('there is no `script` to make a terminal with');
const onTerminal = hasScript ? test : test.skip;

const PASSED = [
  'KG_ROOT',
  'COMPOSE_PROJECT_NAME',
  'COMPOSE_FILE',
  'COMPOSE_ENV_FILES',
  'NO_COLOR',
  'CI',
  'TERM',
  'COLUMNS',
  'KG_ADMIN_USERNAME',
  'KG_ADMIN_PASSWORD',
  'KG_AI_PROVIDER',
  'KG_AI_MODEL',
  'KG_AI_BASE_URL',
  'KG_AI_API_KEY',
  'KG_EMBEDDING',
];

/** The argv of docker exec, taken apart. */
function exec(argv: string[]) {
  const flags: string[] = [];
  const names: string[] = [];
  let directory: string | undefined;
  const words = argv.slice(1);
  while (words[0]?.startsWith('-')) {
    const option = words.shift();
    if (option === '-e') names.push(words.shift() ?? '');
    else if (option === '-w') directory = words.shift();
    else flags.push(option ?? '');
  }
  const [container, program, ...args] = words;
  return { flags, names, directory, container, program, args };
}

describe.each(SHELLS)('the engine under %s', (_name, shell) => {
  let install: Install;
  beforeEach(() => {
    install = new Install(shell).initialised();
  });
  afterEach(() => install[Symbol.dispose]());
  const execs = () => install.calls().filter(({ argv }) => argv[0] === 'exec');

  test('gets every word as it was, in one docker call', async () => {
    const args = ['config', 'set', 'a b', '', '*', '$HOME', "it's", 'ünï', '-x', '--', 'new\nline', '\\'];
    expect((await install.run(args)).code).toBe(0);
    expect(install.calls()).toHaveLength(1);
    expect(exec(install.calls()[0]?.argv ?? [])).toMatchObject({
      container: 'kg-operator',
      program: 'kg-operator',
      args,
      flags: ['-i'],
    });
  });

  test('gets the environment by name, never by value', async () => {
    const env = Object.fromEntries(PASSED.slice(4).map((name) => [name, `value of ${name}`]));
    await install.run(['config', 'admin'], { env });
    const [call] = install.calls();
    const { names } = exec(call?.argv ?? []);
    expect(names).toEqual(expect.arrayContaining(PASSED));
    expect(names.filter((name) => name.includes('='))).toEqual([]);
    expect(call?.argv.join(' ')).not.toContain('value of');
    expect(call?.env).toMatchObject(env);
  });

  test('every variable KG_* and what --from-env names goes along, by name; nothing else does', async () => {
    const env = {
      KG_SOMETHING_NEW: 'value one',
      MY_KEY: 'value two',
      OTHER_KEY: 'value\nthree',
      UNRELATED: 'value four',
      kg_lower: 'value five',
    };
    const args = ['config', 'api-key', 'openai', '--from-env', 'MY_KEY', '--from-env=OTHER_KEY'];
    await install.run(args, { env });
    const call = exec(install.calls()[0]?.argv ?? []);
    expect(call.args).toEqual(args);
    expect(call.names).toEqual(
      expect.arrayContaining(['KG_SOMETHING_NEW', 'MY_KEY', 'OTHER_KEY', 'KG_ROOT']),
    );
    expect(call.names).not.toEqual(expect.arrayContaining([expect.stringMatching(/UNRELATED|kg_lower/)]));
    expect(install.calls()[0]?.argv.join(' ')).not.toContain('value');
    expect(install.calls()[0]?.env).toMatchObject(env);
    install.forgetCalls();
    await install.run(['config', 'api-key', 'openai', '--from-env', 'MY_KEY=value six', '--from-env', '*'], {
      env,
    });
    expect(exec(install.calls()[0]?.argv ?? []).names.filter((name) => !/^[A-Z_]+$/.test(name))).toEqual([]);
  });

  test('says who gave the command: the user, or who called sudo', async () => {
    const { username } = userInfo();
    await install.run(['status'], { env: { KG_ACTOR: 'somebody else' } });
    await install.run(['status'], { env: { SUDO_USER: 'alice' } });
    expect(install.calls().map(({ env }) => env.KG_ACTOR)).toEqual([username, 'alice']);
    for (const { argv } of install.calls()) expect(exec(argv).names).toContain('KG_ACTOR');
  });

  test('no secret of .env is in the arguments, the environment or the output', async () => {
    const result = await install.run(['status', '--json']);
    for (const line of ENV_TEXT.trim().split('\n')) {
      const secret = line.split('=')[1] ?? '';
      for (const { argv, env } of install.calls()) {
        expect([...argv, ...Object.values(env)].join('\n')).not.toContain(secret);
      }
      expect(result.stdout + result.stderr).not.toContain(secret);
    }
  });

  test('works where the caller stands, if that is beneath the root', async () => {
    const below = join(install.root, 'docker', 'a dir');
    mkdirSync(below);
    for (const [cwd, expected] of [
      [install.root, install.root],
      [below, below],
      [install.home, install.root],
    ] as const) {
      install.forgetCalls();
      await install.run(['status'], { cwd });
      expect(exec(install.calls()[0]?.argv ?? []).directory).toBe(expected);
    }
  });

  test('reads stdin, writes stdout and stderr apart, and its exit code is ours', async () => {
    install.given('engine', 'cat; echo to stderr >&2; printf partial >&2; exit "$2"\n');
    for (const code of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130, 143]) {
      const result = await install.run(['code', String(code)], { stdin: 'the input\n' });
      expect(result).toMatchObject({ code, stdout: 'the input\n' });
      expect(result.stderr.trimEnd()).toBe('to stderr\npartial');
    }
  });

  test('a long stderr passes whole, and while it runs', async () => {
    install.given('engine', 'i=0; while [ $i -lt 2000 ]; do echo "line $i" >&2; i=$((i + 1)); done\n');
    const { stderr } = await install.run(['migrate']);
    expect(stderr.trimEnd().split('\n')).toEqual(Array.from({ length: 2000 }, (_, index) => `line ${index}`));
  });

  test.each([125, 126, 127])('exit %i is docker, not the engine: 6', async (code) => {
    install.given('engine', `exit ${code}\n`);
    const result = await install.run(['status', '--json']);
    expect(result.code).toBe(6);
    expect(errorOf(result).code).toBe('ENGINE_NOT_RUN');
  });

  test.each([
    ['missing', ''],
    ['stopped', 'stopped'],
    ['stopped, in the words of older engines', 'stopped-old'],
  ])('container %s: brought up, then tried again with the same input', async (_state, state) => {
    using fresh = new Install(shell).initialised(state).given('engine', 'cat\n');
    const result = await fresh.run(['status'], { stdin: 'kept\n' });
    expect(result).toMatchObject({ code: 0, stdout: 'kept\n' });
    expect(result.stderr).not.toMatch(/No such container|is not running|Error response/);
    const lines = fresh.callLines();
    expect(lines.filter((line) => line.startsWith('compose up'))).toEqual([
      'compose up -d --no-deps operator',
    ]);
    expect(lines.filter((line) => line.startsWith('exec'))).toHaveLength(2);
  });

  test('container that does not stay up: 6, tried once', async () => {
    using fresh = new Install(shell).initialised('').given('stays-down');
    const result = await fresh.run(['status', '--json']);
    expect(result.code).toBe(6);
    expect(errorOf(result).code).toBe('OPERATOR_STOPS');
    expect(fresh.callLines().filter((line) => line.startsWith('exec'))).toHaveLength(2);
  });

  test('paused container: 6, and nothing is run twice', async () => {
    install.given('operator', 'paused');
    const result = await install.run(['migrate', '--json']);
    expect(result.code).toBe(6);
    expect(errorOf(result).code).toBe('ENGINE_NOT_RUN');
    expect(execs()).toHaveLength(1);
  });

  test('an engine that fails with words like docker is not run a second time', async () => {
    install.given(
      'engine',
      'echo "Error response from daemon: container 0123abc is not running" >&2; exit 1\n',
    );
    expect((await install.run(['migrate'])).code).toBe(6);
    expect(execs()).toHaveLength(1);
  });

  test('images not there yet: says to start, creates nothing', async () => {
    using fresh = new Install(shell).initialised('').given('no-images');
    const result = await fresh.run(['status', '--json']);
    expect(result.code).toBe(3);
    expect(errorOf(result)).toMatchObject({ code: 'NOT_STARTED', hint: expect.stringContaining('up') });
    expect(fresh.callLines().filter((line) => /compose (up|build|pull)/.test(line))).toEqual([]);
  });

  test('Docker not running: 6, one JSON document', async () => {
    install.given('down');
    const result = await install.run(['status', '--json']);
    expect(result.code).toBe(6);
    expect(errorOf(result).code).toBe('ENGINE_NOT_RUN');
    expect(result.stderr).toContain('daemon');
  });

  test('not initialised: 3 with the next command, and docker is not asked', async () => {
    using fresh = new Install(shell);
    const result = await fresh.run(['status', '--json']);
    expect(result.code).toBe(3);
    expect(errorOf(result).message).toContain('./operator.sh init');
    expect(fresh.calls()).toEqual([]);
  });

  onTerminal('on a terminal docker gets one too, and only then', async () => {
    install.given('engine', 'echo "args $*"; exit 4\n');
    const result = await install.runOnTerminal(['config', 'admin']);
    expect(result.code).toBe(4);
    expect(result.stdout).toContain('args config admin');
    expect(install.calls()[0]?.argv.slice(0, 3)).toEqual(['exec', '-i', '-t']);
    install.forgetCalls();
    await install.run(['config', 'admin']);
    expect(install.calls()[0]?.argv).not.toContain('-t');
  });

  test('a root with spaces and quotes, reached through two symbolic links', async () => {
    using odd = new Install(shell, { name: `kg 'root' "x" $y` }).initialised();
    spawnSync('ln', ['-s', join(odd.root, 'operator.sh'), join(odd.home, 'first')]);
    spawnSync('ln', ['-s', 'first', join(odd.home, 'second')]);
    expect((await odd.run(['status'], { script: join(odd.home, 'second'), cwd: odd.home })).code).toBe(0);
    expect(odd.calls()[0]?.env.KG_ROOT).toBe(odd.root);
    odd.forgetCalls();
    expect(
      (await odd.run(['status'], { script: '../second', cwd: odd.bin, env: { CDPATH: odd.home } })).code,
    ).toBe(0);
    expect(odd.calls()[0]?.env.KG_ROOT).toBe(odd.root);
  });

  test.each(['a:b', 'a,b', 'a\nb', 'a\n'])('a root called %j is refused', async (name) => {
    using odd = new Install(shell, { name }).initialised();
    const result = await odd.run(['status', '--json']);
    expect(result.code).toBe(3);
    expect(errorOf(result).code).toBe('ROOT_NAME');
    expect(odd.calls()).toEqual([]);
  });

  test('a script alone in a directory says what is missing', async () => {
    using lonely = new Install(shell);
    spawnSync('rm', ['-r', join(lonely.root, 'docker')]);
    expect((await lonely.run(['up'])).code).toBe(3);
    expect(lonely.calls()).toEqual([]);
  });

  test('env: for eval, quoted, and without a secret', async () => {
    using odd = new Install(shell, { name: "it's $HOME" }).initialised();
    const { code, stdout } = await odd.run(['env']);
    expect(code).toBe(0);
    for (const line of ENV_TEXT.trim().split('\n')) expect(stdout).not.toContain(line.split('=')[1]);
    const names = ['KG_ROOT', 'COMPOSE_PROJECT_NAME', 'COMPOSE_FILE', 'COMPOSE_ENV_FILES', 'API_PORT'];
    const [program = 'sh', ...rest] = shell;
    const shown = spawnSync(program, [...rest, '-c', `eval "$1"; env`, 'sh', stdout], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, API_PORT: '1' },
    }).stdout.split('\n');
    const values = names.map((name) =>
      shown.find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1),
    );
    expect(values).toEqual([
      odd.root,
      'kg',
      `${odd.root}/docker/docker-compose.yml`,
      `${odd.root}/.env`,
      undefined,
    ]);
  });

  describe('an upgrade', () => {
    const calls = () => execs().map(({ argv }) => exec(argv).args);

    test('is shown on by the operator that replaced the one it was begun in', async () => {
      install.given('operator', 'running');
      install.given(
        'engine',
        'case $* in *--attach*) exit 9 ;; *--yes*) echo new >"$FAKE_DOCKER/operator-id"; exit 137 ;; esac',
      );
      for (const command of ['upgrade', 'rollback']) {
        install.given('operator-id', 'old');
        install.forgetCalls();
        expect((await install.run([command, '--json', '--yes'])).code).toBe(9);
        expect(calls()).toEqual([
          [command, '--json', '--yes'],
          [command, '--attach', '--json'],
        ]);
      }
    });

    test('that ends by itself is not asked for again', async () => {
      install.given('operator', 'running');
      for (const code of [0, 1, 3, 9, 130]) {
        install.given('engine', `exit ${code}`);
        install.forgetCalls();
        expect((await install.run(['upgrade'])).code).toBe(code);
        expect(calls()).toEqual([['upgrade']]);
      }
    });
  });
});
