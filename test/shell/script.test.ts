import { spawnSync } from 'node:child_process';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { FULL, Install, REPOSITORY, SCRIPT, SHELLS, unavailable } from './shim.ts';

jest.setTimeout(FULL ? 1_200_000 : 60_000);

const text = readFileSync(SCRIPT, 'utf8');

test('shellcheck finds nothing', () => {
  const release = globSync('release/*.sh', { cwd: REPOSITORY });
  expect(release.length).toBeGreaterThan(10);
  for (const file of ['operator.sh', 'install.sh', 'test/shell/fake-docker.sh', ...release]) {
    const { status, stdout, error } = spawnSync('shellcheck', ['-x', '-P', 'SCRIPTDIR', '-s', 'sh', file], {
      cwd: REPOSITORY,
      encoding: 'utf8',
    });
    if (error) return unavailable('shellcheck is not installed');
    expect([file, status, stdout]).toEqual([file, 0, '']);
  }
});

test('is short, ends in one call, and uses neither eval nor source', () => {
  const lines = text.trimEnd().split('\n');
  // The design says 300. Settings are read and judged before any container is there, so those of TLS are here, too.
  expect(lines.length).toBeLessThan(380);
  expect(lines.at(-1)).toBe('main "$@"; exit $?; }');
  expect(lines.filter((line) => line.length > 145)).toEqual([]);
  const code = lines.filter((line) => !/^\s*#/.test(line)).join('\n');
  expect(code).not.toMatch(/^\s*(eval|source|\.)\s/m);
});

test('install.sh has the same style, and no keys of its own', () => {
  const installer = readFileSync(join(REPOSITORY, 'install.sh'), 'utf8');
  const lines = installer.trimEnd().split('\n');
  expect(lines.length).toBeLessThan(690);
  expect(lines.at(-1)).toBe('main "$@"; exit $?; }');
  expect(lines.filter((line) => line.length > 145)).toEqual([]);
  expect(lines.filter((line) => /^\s*(eval|source|\.)\s/.test(line))).toEqual([]);
  // `release assets` writes them from packages/engine/src/release/keys.ts.
  expect(
    lines.filter((line) => /^RELEASE(_KEYS|S_URL)=/.test(line)).map((line) => line.split(' #')[0]),
  ).toEqual(["RELEASES_URL=''", "RELEASE_KEYS=''"]);
  for (const name of ['ENGINE_MINIMUM', 'COMPOSE_MINIMUM']) {
    const pattern = new RegExp(`${name}=(\\S+)`);
    expect(pattern.exec(installer)?.[1]).toBe(pattern.exec(text)?.[1]);
  }
});

describe.each(SHELLS)('the script under %s', (name, shell) => {
  test('help and version answer without Docker, on stdout', async () => {
    using install = new Install(shell).given('down');
    const { version } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8')) as {
      version: string;
    };
    const engine = JSON.parse(readFileSync(join(REPOSITORY, 'packages/engine/package.json'), 'utf8')) as {
      version: string;
    };
    for (const args of [['version'], ['--version'], ['-V']]) {
      expect(await install.run(args)).toMatchObject({
        code: 0,
        stdout: `kg-operator ${version}\n`,
        stderr: '',
      });
    }
    expect(engine.version).toBe(version);
    const help = await install.run(['help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const args of [[], ['--help'], ['-h']]) expect((await install.run(args)).stdout).toBe(help.stdout);
    for (const command of 'up init start stop restart backup restore status versions logs psql shell migrate config teardown env help version'.split(
      ' ',
    )) {
      expect(help.stdout).toMatch(new RegExp(`^  ([a-z, ]+, )?${command}\\b`, 'm'));
    }
    for (const code of ['0 ok', '10 status', '130']) expect(help.stdout).toContain(code);
    expect(help.stdout.match(/\.\/operator\.sh (up|config)/g)?.length).toBeGreaterThanOrEqual(2);
    expect(install.calls()).toEqual([]);
  });

  test.each(['init', 'up', 'start', 'stop', 'restart', 'logs', 'shell', 'teardown', 'env'])(
    '%s --help answers here, and so does help with its name',
    async (command) => {
      using install = new Install(shell).given('down');
      const result = await install.run([command, '--help']);
      expect(result).toMatchObject({ code: 0, stderr: '' });
      expect(result.stdout).toMatch(new RegExp(`^  .*\\b${command}\\b`, 'm'));
      expect((await install.run(['help', command])).stdout).toBe(result.stdout);
      expect(install.calls()).toEqual([]);
    },
  );

  test("an engine command's --help goes to the engine", async () => {
    using install = new Install(shell).initialised();
    for (const args of [
      ['config', 'admin', '--help'],
      ['help', 'config', 'admin'],
    ]) {
      install.forgetCalls();
      expect((await install.run(args)).code).toBe(0);
      expect(install.callLines()[0]).toMatch(/kg-operator config admin --help$/);
    }
  });

  test('a flag before the command is a usage error', async () => {
    using install = new Install(shell).initialised();
    expect((await install.run(['--json', 'status'])).code).toBe(2);
    expect(install.calls()).toEqual([]);
  });

  test('cut at any byte it is a syntax error, and nothing runs', async () => {
    using install = new Install(shell);
    const before = install.files();
    // From the opening brace to the byte before the closing one.
    const first = Buffer.byteLength(text.slice(0, text.indexOf('\n{') + 2));
    const last = Buffer.byteLength(text) - 2;
    const step = FULL ? (name === 'dash' ? 1 : 7) : Math.floor((last - first) / 120);
    const bytes = Buffer.from(text);
    const offsets: number[] = [];
    for (let offset = first + ((name.length * 31) % step); offset < last; offset += step)
      offsets.push(offset);
    for (let offset = last - 30; offset <= last; offset++) offsets.push(offset);
    const [program = 'sh', ...rest] = shell;
    const script = join(install.root, 'cut.sh');
    for (const offset of offsets) {
      writeFileSync(script, bytes.subarray(0, offset));
      const { status, stdout } = spawnSync(program, [...rest, script, 'init'], {
        cwd: install.root,
        encoding: 'utf8',
        env: install.environment(),
      });
      if (status === 0 || stdout !== '') throw new Error(`cut at byte ${offset}: exit ${status}, ${stdout}`);
    }
    expect(install.calls()).toEqual([]);
    expect(install.files()).toEqual([...before, 'cut.sh'].sort());
  });
});
