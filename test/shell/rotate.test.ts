import { chownSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { parseEnvFile } from '../../packages/engine/src/model/env-file.ts';
import { ROTATED } from '../../packages/engine/src/model/rotation.ts';
import { killAt, type Moment, runKillable, step, unwrap } from './kill.ts';
import { ENV_TEXT, errorOf, FULL, Install, SECRET_KEYS, SHELLS } from './shim.ts';

jest.setTimeout(FULL ? 1_800_000 : 120_000);

const SECRETS = {
  'encryption-key': ['ENCRYPTION_KEY'],
  'oauth-key': ['OAUTH_SIGNING_KEY'],
  'postgres-password': ['POSTGRES_PASSWORD'],
  'garage-secret': ['GARAGE_RPC_SECRET', 'GARAGE_ADMIN_TOKEN'],
};
test('operator.sh and the engine agree on what there is to rotate', () => {
  expect(ROTATED).toEqual(SECRETS);
});

const NEVER: Moment = { step: -1, when: 'before', signal: 'KILL' };

/**
 * An engine and its database: the file `accepted` holds the keys that open it, a line each. `renew` adds that of .env.next, `finish` wants
 * that of .env there and drops the other, whole or not at all as a database does. Where .env.next is missing or partial, it fails.
 */
const engine = (key: string, moment = NEVER) => `
value() { while IFS= read -r line; do case $line in ${key}=*) echo "\${line#*=}" ;; esac; done <"$KG_ROOT/$1"; }
opens() { while IFS= read -r line; do [ "$line" != "$1" ] || return 0; done <accepted; return 1; }
check() { opens "$(value .env)"; }
renew() { new=$(value .env.next) && [ -n "$new" ] && { opens "$new" || echo "$new" >>accepted; }; }
finish() { new=$(value .env) && [ -e "$KG_ROOT/.env.previous" ] && opens "$new" && echo "$new" >drop && /bin/mv drop accepted; }
case $* in *--check*) part=check ;; *--finish*) part=finish ;; *) part=renew ;; esac
echo "$*" >>parts
[ ! -e "fail-$part" ] || { read -r code <"fail-$part"; echo '{"schemaVersion":1,"ok":false,"error":{"code":"SCRIPTED"}}'; exit $code; }
${step('$part', moment)}
echo "{\\"part\\": \\"$part\\"}"
exit $code
`;

function rotatable(install: Install, key = 'ENCRYPTION_KEY'): Install {
  install.initialised();
  const value = parseEnvFile(ENV_TEXT).values.get(key);
  return install.given('accepted', `${value}\n`).given('engine', engine(key));
}

const accepted = (install: Install) =>
  readFileSync(join(install.docker, 'accepted'), 'utf8').trim().split('\n');
const parts = (install: Install) => readFileSync(join(install.docker, 'parts'), 'utf8').trim().split('\n');
const envFiles = (install: Install) => install.files().filter((file) => file.startsWith('.env'));

/** Every file of secrets that is there is whole, well formed and private; .env is there. */
function expectWhole(install: Install): void {
  expect(install.has('.env')).toBe(true);
  for (const file of envFiles(install).filter((name) => !name.startsWith('.env.tmp'))) {
    const { values, problems } = parseEnvFile(install.read(file));
    expect([file, problems]).toEqual([file, []]);
    expect([file, [...values.keys()]]).toEqual([file, SECRET_KEYS]);
    for (const [key, value] of values)
      expect(value).toMatch(key === 'POSTGRES_PASSWORD' ? /^[0-9a-f]{48}$/ : /^[0-9a-f]{64}$/);
  }
  for (const file of envFiles(install))
    expect([file, (statSync(join(install.root, file)).mode & 0o777).toString(8)]).toEqual([file, '600']);
}

describe.each(SHELLS)('rotate under %s', (name, shell) => {
  let install: Install;
  beforeEach(() => {
    install = new Install(shell);
  });
  afterEach(() => install[Symbol.dispose]());

  test.each(Object.entries(SECRETS))(
    '%s: this key is new, all else as it was, and nothing is left over',
    async (secret, keys) => {
      rotatable(install, keys.at(-1));
      install.write('.env', `# my own remark * ' "\n\n${ENV_TEXT}`);
      const result = await install.run(['rotate', secret, '--json']);
      expect(result.code).toBe(0);
      expect(JSON.parse(result.stdout)).toEqual({ part: 'finish' });
      expect(parts(install)).toEqual([
        `rotate ${secret} --json --check`,
        `rotate ${secret} --json`,
        `rotate ${secret} --json --finish`,
      ]);
      expectWhole(install);
      expect(envFiles(install)).toEqual(['.env']);
      const [before, after] = [parseEnvFile(ENV_TEXT).values, parseEnvFile(install.read('.env')).values];
      expect(SECRET_KEYS.filter((key) => before.get(key) !== after.get(key))).toEqual(keys);
      expect(accepted(install)).toEqual([after.get(keys.at(-1) ?? '')]);
      const lines = install.read('.env').split('\n');
      expect(lines[0]).toMatch(new RegExp(`^# Rotated ${secret} \\d{4}-\\d\\d-\\d\\dT[\\d:]{8}Z$`));
      expect(lines.slice(1, 3)).toEqual([`# my own remark * ' "`, '']);
      const values = [...before.values(), ...after.values()];
      for (const { argv, env } of install.calls())
        for (const value of values) expect([...argv, ...Object.values(env)].join('\n')).not.toContain(value);
      for (const value of values) expect(result.stdout + result.stderr).not.toContain(value);
    },
  );

  const asRoot = process.getuid?.() === 0 ? test : test.skip;
  asRoot('run by root, the files stay those of who installed', async () => {
    rotatable(install).given('fail-finish', '9\n');
    chownSync(join(install.root, '.env'), 12_345, 0);
    expect((await install.run(['rotate', 'encryption-key'])).code).toBe(9);
    for (const file of ['.env', '.env.previous']) expect(statSync(join(install.root, file)).uid).toBe(12_345);
  });

  test('twice: the remark is replaced, not added', async () => {
    rotatable(install);
    for (let times = 0; times < 2; times++)
      expect((await install.run(['rotate', 'encryption-key'])).code).toBe(0);
    expect(install.read('.env').match(/^# Rotated /gm)).toHaveLength(1);
    expect(new Set(parseEnvFile(install.read('.env')).values.values()).size).toBe(5);
  });

  test.each([[[]], [['nonsense']], [['encryption-key', 'oauth-key']], [['encryption-key', '--finish']]])(
    'rotate %j is a usage error',
    async (args) => {
      rotatable(install);
      expect((await install.run(['rotate', ...args])).code).toBe(2);
      expect(install.calls().filter(({ argv }) => argv[0] === 'exec')).toEqual([]);
      expect(install.read('.env')).toBe(ENV_TEXT);
    },
  );

  test.each([3, 5, 7])('what the check refuses with %i leaves no trace', async (code) => {
    rotatable(install).given('fail-check', `${code}\n`);
    const result = await install.run(['rotate', 'encryption-key', '--json']);
    expect(result.code).toBe(code);
    expect(JSON.parse(result.stdout)).toMatchObject({ ok: false, error: { code: 'SCRIPTED' } });
    expect(envFiles(install)).toEqual(['.env']);
    expect(install.read('.env')).toBe(ENV_TEXT);
  });

  test('cut off in the engine: .env stays, and the next run goes on with the same new value; another secret has to wait', async () => {
    rotatable(install).given('fail-renew', '9\n');
    expect((await install.run(['rotate', 'encryption-key', '--json'])).code).toBe(9);
    expect(install.read('.env')).toBe(ENV_TEXT);
    const staged = install.read('.env.next');
    const other = await install.run(['rotate', 'oauth-key', '--json']);
    expect(other.code).toBe(3);
    expect(errorOf(other)).toMatchObject({
      code: 'ROTATION_UNFINISHED',
      hint: './operator.sh rotate encryption-key',
    });
    rmSync(join(install.docker, 'fail-renew'));
    expect((await install.run(['rotate', 'encryption-key'])).code).toBe(0);
    expect(install.read('.env')).toBe(staged);
    expect(envFiles(install)).toEqual(['.env']);
  });

  test('the platform does not come up on it: .env is new, the one before is kept, and the same command goes on', async () => {
    rotatable(install).given('fail-finish', '9\n');
    expect((await install.run(['rotate', 'encryption-key'])).code).toBe(9);
    expectWhole(install);
    expect(envFiles(install)).toEqual(['.env', '.env.previous']);
    expect(install.read('.env.previous')).toBe(ENV_TEXT);
    const renewed = install.read('.env');
    expect(errorOf(await install.run(['rotate', 'garage-secret', '--json'])).hint).toContain(
      'rotate encryption-key',
    );
    rmSync(join(install.docker, 'fail-finish'));
    expect((await install.run(['rotate', 'encryption-key'])).code).toBe(0);
    expect(install.read('.env')).toBe(renewed);
    expect(envFiles(install)).toEqual(['.env']);
  });

  test('without .env, before the first start, with Docker down: said, and nothing staged', async () => {
    expect((await install.run(['rotate', 'oauth-key'])).code).toBe(3);
    rotatable(install).given('operator').given('no-images');
    const early = await install.run(['rotate', 'encryption-key', '--json']);
    expect([early.code, errorOf(early).code]).toEqual([3, 'NOT_STARTED']);
    install.given('down');
    expect((await install.run(['rotate', 'encryption-key', '--json'])).code).toBe(6);
    expect(envFiles(install)).toEqual(['.env']);
  });

  test('too few random bytes: nothing is staged', async () => {
    rotatable(install);
    rmSync(join(install.bin, 'od'), { force: true });
    writeFileSync(join(install.bin, 'od'), '#!/bin/sh\necho 00 11\n', { mode: 0o755 });
    expect((await install.run(['rotate', 'encryption-key'])).code).toBe(1);
    expect(envFiles(install)).toEqual(['.env']);
  });

  test('init and up do not make new secrets beside those of a rotation; teardown --volumes moves them along', async () => {
    for (const file of ['.env.next', '.env.previous']) {
      install.write(file, ENV_TEXT);
      for (const command of ['init', 'up']) {
        const result = await install.run([command, '--json']);
        expect([command, result.code, errorOf(result).code]).toEqual([command, 3, 'DATA_WITHOUT_ENV']);
      }
      expect(install.has('.env')).toBe(false);
    }
    install.initialised();
    expect((await install.run(['teardown', '--volumes', '--confirm', 'kg'])).code).toBe(0);
    const stamp = expect.stringMatching(/^\.env\.removed-\d{8}T\d{6}Z(\.next|\.previous)?$/);
    expect(envFiles(install)).toEqual([stamp, stamp, stamp]);
  });

  const WRAPPED = ['sed', 'grep', 'date', 'od', 'sync', 'ln', 'rm', 'mv', 'cat'];

  test('killed at any step: .env is whole, and the same command again ends it with the new secret', async () => {
    const moments: Moment[] = [];
    using whole = rotatable(new Install(shell));
    killAt(whole, WRAPPED, NEVER);
    whole.given('engine', engine('ENCRYPTION_KEY', NEVER));
    expect((await runKillable(whole, ['rotate', 'encryption-key'])).code).toBe(0);
    const steps = Number(readFileSync(join(whole.docker, 'step'), 'utf8'));
    expect(steps).toBeGreaterThan(20);
    for (let at = 1; at <= steps; at++)
      for (const when of ['before', 'after'] as const)
        for (const signal of ['KILL', 'TERM'] as const)
          if (
            FULL ||
            (at * 4 + (when === 'after' ? 2 : 0) + (signal === 'TERM' ? 1 : 0)) % 9 === name.length % 9
          )
            moments.push({ step: at, when, signal });

    let cutOff = 0;
    for (const moment of moments) {
      using victim = rotatable(new Install(shell));
      killAt(victim, WRAPPED, moment);
      victim.given('engine', engine('ENCRYPTION_KEY', moment));
      const { code } = await runKillable(victim, ['rotate', 'encryption-key']);
      if (code !== 0) cutOff += 1;
      else expect(moment.signal).toBe('TERM'); // which may come when all is done
      expectWhole(victim);
      const secret = parseEnvFile(victim.read('.env')).values.get('ENCRYPTION_KEY') ?? '';
      expect([moment, accepted(victim).includes(secret)]).toEqual([moment, true]);
      const begun = envFiles(victim).length > 1;

      unwrap(victim, WRAPPED);
      victim.given('engine', engine('ENCRYPTION_KEY'));
      if (code !== 0)
        expect([moment, (await victim.run(['rotate', 'encryption-key'])).code]).toEqual([moment, 0]);
      expectWhole(victim);
      expect([moment, envFiles(victim)]).toEqual([moment, ['.env']]);
      const after = parseEnvFile(victim.read('.env')).values.get('ENCRYPTION_KEY') ?? '';
      expect([moment, accepted(victim)]).toEqual([moment, [after]]);
      expect(ENV_TEXT).not.toContain(after);
      if (begun && secret !== after) expect(ENV_TEXT).toContain(secret);
    }
    expect(cutOff).toBeGreaterThan(moments.length / 2);
  });

  test('killed at a random moment, again and again', async () => {
    rotatable(install);
    for (let round = 0; round < (FULL ? 150 : 8); round++) {
      await install.run(['rotate', 'encryption-key'], {
        onStart: (pid) => {
          setTimeout(
            () => {
              try {
                process.kill(-pid, round % 2 === 0 ? 'SIGKILL' : 'SIGTERM');
              } catch {
                // it had already ended
              }
            },
            (round * 7919) % 160,
          );
        },
      });
      expectWhole(install);
      const secret = parseEnvFile(install.read('.env')).values.get('ENCRYPTION_KEY') ?? '';
      expect(accepted(install)).toContain(secret);
    }
    expect((await install.run(['rotate', 'encryption-key'])).code).toBe(0);
    expect(envFiles(install)).toEqual(['.env']);
    expect(accepted(install)).toEqual([parseEnvFile(install.read('.env')).values.get('ENCRYPTION_KEY')]);
  });
});
