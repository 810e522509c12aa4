import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { STANDALONE_FILES } from '../../packages/engine/src/release/assets.ts';
import { errorOf, Install, REPOSITORY, SHELLS } from './shim.ts';

jest.setTimeout(60_000);

const IMAGE = `registry.example/kg/kg-operator-operator@sha256:${'b'.repeat(64)}`;

/** A standalone installation that runs, and an operator image with the files of the tree, but for what `change` changes. */
function installed(
  shell: string[],
  change: (name: string, text: string) => string = (_, text) => text,
): Install {
  const install = new Install(shell, { layout: 'standalone' })
    .initialised()
    .given('operator-image', `${IMAGE}\n`);
  mkdirSync(join(install.root, '.operator'));
  for (const [from, to] of STANDALONE_FILES) {
    const text = readFileSync(join(REPOSITORY, from), 'utf8');
    const inImage = join(install.docker, 'standalone', to);
    mkdirSync(dirname(inImage), { recursive: true });
    writeFileSync(inImage, change(to, text), { mode: to.endsWith('.sh') ? 0o755 : 0o644 });
    mkdirSync(dirname(join(install.root, to)), { recursive: true });
    install.write(to, text, to.endsWith('.sh') ? 0o755 : 0o644);
  }
  return install;
}
const newVersion = (name: string, text: string) =>
  name === 'operator.sh' ? text.replace(/^KG_VERSION=.*/m, 'KG_VERSION=9.9.9') : `${text}# new\n`;

describe.each(SHELLS)('self-update under %s', (_name, shell) => {
  test("takes the files of the operator's image, keeps the old ones, and asks the new", async () => {
    using install = installed(shell, newVersion);
    const old = install.read('operator.sh');
    const result = await install.run(['self-update']);
    expect([result.code, result.stderr]).toEqual([0, expect.stringContaining('kg-operator 9.9.9')]);
    expect(install.read('docker-compose.yml')).toContain('# new');
    expect(install.read('.operator/previous-files/operator.sh')).toBe(old);
    expect(install.callLines().some((line) => line.endsWith('kg-operator kg-operator status --quiet'))).toBe(
      true,
    );
    const again = await install.run(['self-update', '--json']);
    expect([again.code, again.stderr]).toEqual([0, expect.stringContaining('already')]);
    expect(JSON.parse(again.stdout)).toMatchObject({ ok: true, command: 'self-update' });
  });

  test.each([
    ['a syntax error', (text: string) => text.slice(0, -20)],
    ['no answer', () => '#!/bin/sh\nexit 7\n'],
    [
      'another grammar of .env',
      (text: string) => text.replace("SECRETS='ENCRYPTION_KEY", "SECRETS='NEW_KEY"),
    ],
  ])('a new operator.sh with %s: the old files are put back', async (_what, broken) => {
    using install = installed(shell, (name, text) =>
      name === 'operator.sh' ? broken(text) : `${text}# new\n`,
    );
    const before = STANDALONE_FILES.map(([, name]) => install.read(name));
    const result = await install.run(['self-update', '--json']);
    expect([result.code, errorOf(result).code]).toEqual([7, 'SELF_UPDATE_FAILED']);
    expect(STANDALONE_FILES.map(([, name]) => install.read(name))).toEqual(before);
    expect((await install.run(['status'])).code).toBe(0);
  });

  test('a new engine that does not answer: the same', async () => {
    using install = installed(shell, newVersion).given('engine', 'exit 1\n');
    const result = await install.run(['self-update', '--json']);
    expect([result.code, errorOf(result).code]).toEqual([7, 'SELF_UPDATE_FAILED']);
    expect(install.read('docker-compose.yml')).not.toContain('# new');
  });

  test('refuses a checkout, an image by its tag, an operator without files, no operator', async () => {
    using repository = new Install(shell).initialised();
    expect(errorOf(await repository.run(['self-update', '--json'])).code).toBe('REPOSITORY');
    using install = installed(shell, newVersion).given(
      'operator-image',
      'registry.example/kg-operator:1.0.0\n',
    );
    expect(errorOf(await install.run(['self-update', '--json'])).code).toBe('NOT_PINNED');
    install.given('operator-image', `${IMAGE}\n`).given('fail', 'cp*');
    expect(errorOf(await install.run(['self-update', '--json'])).code).toBe('NO_FILES');
    install.given('fail', '*Config.Image*');
    expect(errorOf(await install.run(['self-update', '--json'])).code).toBe('NOT_STARTED');
    expect(install.read('docker-compose.yml')).not.toContain('# new');
  });

  test('cut off after it was decided, the next command completes it', async () => {
    using install = installed(shell, newVersion);
    cpSync(join(install.docker, 'standalone'), join(install.root, '.operator/next-files'), {
      recursive: true,
    });
    const result = await install.run(['env']);
    expect([result.code, result.stderr]).toEqual([0, '']);
    expect((await install.run(['version'])).stdout).toBe('kg-operator 9.9.9\n');
    expect([
      install.read('docker-compose.yml').includes('# new'),
      install.has('.operator/next-files'),
    ]).toEqual([true, false]);
  });
});
