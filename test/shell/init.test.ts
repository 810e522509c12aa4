import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { parseEnvFile } from '../../packages/engine/src/model/env-file.ts';
import { killAt, type Moment, runKillable, unwrap } from './kill.ts';
import { errorOf, FULL, Install, SECRET_KEYS, SHELLS } from './shim.ts';

jest.setTimeout(FULL ? 600_000 : 60_000);

const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

/** Whole and well formed, or not there. */
function expectEnvWholeOrAbsent(install: Install): void {
  if (!install.has('.env')) return;
  const { values, problems } = parseEnvFile(install.read('.env'));
  expect(problems).toEqual([]);
  expect([...values.keys()]).toEqual(SECRET_KEYS);
  for (const [key, value] of values)
    expect(value).toMatch(key === 'POSTGRES_PASSWORD' ? /^[0-9a-f]{48}$/ : /^[0-9a-f]{64}$/);
  expect(mode(join(install.root, '.env'))).toBe('600');
}

const WRAPPED = ['mkdir', 'od', 'sync', 'ln', 'rm'];

describe.each(SHELLS)('init under %s', (name, shell) => {
  let install: Install;
  beforeEach(() => {
    install = new Install(shell);
  });
  afterEach(() => install[Symbol.dispose]());

  test('writes five secrets and the settings, private, and nothing else', async () => {
    const { code, stdout, stderr } = await install.run(['init']);
    expect(code).toBe(0);
    expect(install.files()).toEqual(['.env', '.operator', '.operator.conf', 'docker', 'operator.sh']);
    expect(install.has('.env')).toBe(true);
    expectEnvWholeOrAbsent(install);
    expect(mode(join(install.root, '.operator'))).toBe('700');
    expect(stdout).toBe('');
    const values = [...parseEnvFile(install.read('.env')).values.values()];
    expect(new Set(values).size).toBe(5);
    for (const value of values) {
      expect(stdout + stderr).not.toContain(value);
      for (const { argv, env } of install.calls())
        expect([...argv, ...Object.values(env)].join(' ')).not.toContain(value);
    }
    expect(install.callLines().filter((call) => /^compose (?!version)/.test(call))).toEqual([]);
  });

  test('twice is refused, and leaves the file as it is', async () => {
    await install.run(['init']);
    const before = install.read('.env');
    const result = await install.run(['init', '--json']);
    expect(result.code).toBe(3);
    expect(errorOf(result).message).toContain('.env');
    expect(install.read('.env')).toBe(before);
  });

  test('--dev chooses local builds and live reload; an existing file that says otherwise is named, with the line', async () => {
    expect((await install.run(['init', '--dev'])).code).toBe(0);
    expect(install.read('.operator.conf')).toContain('DEV_MODE=true\n');
    rmSync(join(install.root, '.env'));
    install.write('.operator.conf', '# mine\nDEV_MODE=false\n');
    for (const command of ['init', 'up']) {
      const result = await install.run([command, '--dev', '--json']);
      expect(result.code).toBe(3);
      expect(errorOf(result).message).toContain('.operator.conf:2:');
      expect(install.has('.env')).toBe(false);
    }
  });

  test('--dev in a standalone installation is refused', async () => {
    using standalone = new Install(shell, { layout: 'standalone' });
    expect((await standalone.run(['init', '--dev'])).code).toBe(3);
    expect(standalone.has('.env')).toBe(false);
    expect((await standalone.run(['init'])).code).toBe(0);
    expect(standalone.read('.operator.conf')).toMatch(/^IMAGE_SOURCE=ghcr$/m);
    expect(standalone.read('.operator.conf')).toMatch(/^IMAGE_TAG=\d+\.\d+\.\d+$/m);
  });

  test('keeps a .operator.conf that is there', async () => {
    install.write('.operator.conf', 'API_PORT=8001\n');
    expect((await install.run(['init'])).code).toBe(0);
    expect(install.read('.operator.conf')).toBe('API_PORT=8001\n');
  });

  test.each(['init', 'up'])('%s is refused while the data volumes of this project exist', async (command) => {
    install.given('volumes', 'mine_postgres-data\n').write('.operator.conf', 'CONTAINER_PREFIX=mine\n');
    const result = await install.run([command, '--json']);
    expect(result.code).toBe(3);
    expect(errorOf(result)).toMatchObject({
      code: 'DATA_WITHOUT_ENV',
      hint: expect.stringContaining('teardown --volumes'),
    });
    expect(install.has('.env')).toBe(false);
    expect(install.callLines()).toContain('volume ls -q --filter label=com.docker.compose.project=mine');
    expect(install.callLines().filter((call) => /^compose (up|build|pull)/.test(call))).toEqual([]);
  });

  test('is refused while Docker cannot say whether there is data', async () => {
    install.given('down');
    const down = await install.run(['init', '--json']);
    expect(down.code).toBe(6);
    expect(errorOf(down).message).toContain('start it');
    expect(install.files()).toEqual(['docker', 'operator.sh']);
    rmSync(join(install.docker, 'down'));
    install.given('fail', 'volume*');
    expect((await install.run(['init'])).code).toBe(6);
    expect(install.has('.env')).toBe(false);
  });

  test('an argument it does not know is a usage error', async () => {
    for (const flag of ['--force', 'now']) expect((await install.run(['init', flag])).code).toBe(2);
    expect(install.calls().filter(({ argv }) => argv[0] === 'volume')).toEqual([]);
  });

  test('a .env that appears meanwhile is never replaced', async () => {
    rmSync(join(install.bin, 'ln'), { force: true });
    writeFileSync(
      join(install.bin, 'ln'),
      `#!/bin/dash\ncase $2 in *.env) echo theirs >"$2" ;; esac\nPATH=\${PATH#*:} ln "$@"\n`,
      { mode: 0o755 },
    );
    const result = await install.run(['init', '--json']);
    expect(result.code).toBe(3);
    expect(install.read('.env')).toBe('theirs\n');
    expect(install.files().filter((file) => file.includes('tmp'))).toEqual([]);
  });

  test('two at once: one file, one of them says so', async () => {
    const results = await Promise.all([1, 2, 3].map(() => install.run(['init'])));
    expect(results.map(({ code }) => code).sort()[0]).toBe(0);
    expectEnvWholeOrAbsent(install);
    expect(results.filter(({ code }) => code === 0).length).toBe(1);
  });

  test('too few random bytes: nothing is written', async () => {
    rmSync(join(install.bin, 'od'), { force: true });
    writeFileSync(join(install.bin, 'od'), '#!/bin/sh\necho 00 11\n', { mode: 0o755 });
    expect((await install.run(['init'])).code).toBe(1);
    expect(install.has('.env')).toBe(false);
  });

  test('killed at any step: no half file, and the next up carries on', async () => {
    // rm of leftovers, mkdir, five times od, and for each of two files sync, ln, rm, sync.
    const steps = 15;
    const moments: Moment[] = [];
    for (let step = 1; step <= steps; step++) {
      for (const when of ['before', 'after'] as const) {
        for (const signal of ['KILL', 'TERM'] as const) {
          const some =
            (step * 4 + (when === 'after' ? 2 : 0) + (signal === 'TERM' ? 1 : 0)) % 7 === name.length % 7;
          if (FULL || some) moments.push({ step, when, signal });
        }
      }
    }
    expect(moments.length).toBeGreaterThan(6);
    for (const { step, when, signal } of moments) {
      using victim = new Install(shell);
      killAt(victim, WRAPPED, { step, when, signal });
      const result = await runKillable(victim, ['init']);
      expect([step, when, signal, result.code === 0]).toEqual([step, when, signal, false]);
      expectEnvWholeOrAbsent(victim);
      if (victim.has('.operator.conf'))
        expect(victim.read('.operator.conf')).toMatch(/ALLOW_PLAIN_HTTP=false\n$/);
      if (signal === 'TERM') expect(victim.files().filter((file) => file.includes('tmp'))).toEqual([]);
      const before = victim.has('.env') ? victim.read('.env') : undefined;
      unwrap(victim, WRAPPED);
      expect((await victim.run(['up'])).code).toBe(0);
      expectEnvWholeOrAbsent(victim);
      expect(victim.has('.env')).toBe(true);
      if (before !== undefined) expect(victim.read('.env')).toBe(before);
      expect(victim.files().filter((file) => file.includes('tmp'))).toEqual([]);
    }
  });

  test('killed at a random moment, again and again', async () => {
    for (let round = 0; round < (FULL ? 100 : 8); round++) {
      const delay = (round * 7919) % 45;
      await install.run(['init'], {
        onStart: (pid) => {
          setTimeout(() => {
            try {
              process.kill(-pid, round % 2 === 0 ? 'SIGKILL' : 'SIGTERM');
            } catch {
              // it had already ended
            }
          }, delay);
        },
      });
      expectEnvWholeOrAbsent(install);
    }
    if (!install.has('.env')) expect((await install.run(['init'])).code).toBe(0);
    expectEnvWholeOrAbsent(install);
  });
});

describe('a directory that does not take the file', () => {
  test('leaves nothing behind', async () => {
    using install = new Install(['dash']);
    writeFileSync(join(install.bin, 'ln'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    writeFileSync(join(install.bin, 'mv'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    expect((await install.run(['init'])).code).toBe(3);
    expect(install.files().filter((file) => file.startsWith('.env'))).toEqual([]);
  });

  test('without hard links a rename does it', async () => {
    using install = new Install(['dash']);
    writeFileSync(join(install.bin, 'ln'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    expect((await install.run(['init'])).code).toBe(0);
    expect(readFileSync(join(install.root, '.env'), 'utf8')).toContain('ENCRYPTION_KEY=');
  });
});
