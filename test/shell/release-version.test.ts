import { spawnSync } from 'node:child_process';
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { releaseChangelog, releaseNotes } from '../../release/version.ts';

const repository = fileURLToPath(new URL('../../', import.meta.url));
const CHANGELOG = '# Changelog\n\n## Unreleased\n\n- One.\n- Two.\n\n## 1.0.0 (2026-01-02)\n\n- The first.\n';

describe('the changelog', () => {
  test('its section Unreleased becomes that of the version, and an empty one is above it', () => {
    const text = releaseChangelog(CHANGELOG, '1.1.0', '2026-11-23');
    expect(text).toBe(
      '# Changelog\n\n## Unreleased\n\n## 1.1.0 (2026-11-23)\n\n- One.\n- Two.\n\n## 1.0.0 (2026-01-02)\n\n- The first.\n',
    );
    expect(releaseNotes(text, '1.1.0')).toBe('- One.\n- Two.\n');
    expect(releaseNotes(text, '1.0.0')).toBe('- The first.\n');
  });

  test.each([
    ['1.0.0', CHANGELOG, 'not higher than 1.0.0'],
    ['0.9.0', CHANGELOG, 'not higher than 1.0.0'],
    ['1.0.0-rc.1', CHANGELOG, 'not higher than 1.0.0'],
    ['1.1.0', releaseChangelog(CHANGELOG, '1.0.1', '2026-11-23'), 'nothing is written under'],
    ['1.1.0', CHANGELOG.replace('## Unreleased\n', ''), 'has no line'],
  ])('%s is refused: %#', (version, text, message) => {
    expect(() => releaseChangelog(text, version, '2026-11-23')).toThrow(message);
  });

  test('there are no notes of a version that it does not tell of, or has no date yet', () => {
    for (const version of ['1.0', '1.1.0', '10.0.0', 'Unreleased'])
      expect(() => releaseNotes(CHANGELOG, version)).toThrow('has no section');
  });
});

describe('release/version.sh', () => {
  let root: string;
  const git = (...args: string[]) => {
    const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.org'];
    const { status, stdout, stderr } = spawnSync('git', [...identity, ...args], {
      cwd: root,
      encoding: 'utf8',
    });
    expect([args[0], status, stderr]).toEqual([args[0], 0, expect.anything()]);
    return stdout;
  };
  const version = (...args: string[]) => {
    const env = {
      ...process.env,
      ...{ GIT_AUTHOR_NAME: 'Test', GIT_AUTHOR_EMAIL: 'test@example.org' },
      ...{ GIT_COMMITTER_NAME: 'Test', GIT_COMMITTER_EMAIL: 'test@example.org' },
    };
    return spawnSync('sh', [join(root, 'release/version.sh'), ...args], { encoding: 'utf8', env });
  };
  const manifest = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8'));

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'kg-version-'));
    const names = [
      ...['package.json', 'package-lock.json', 'operator.sh', '.gitignore', 'docker/docker-compose.ghcr.yml'],
      ...globSync('packages/*/package.json', { cwd: repository }),
      ...globSync('release/*', { cwd: repository }),
      'packages/engine/src/release/version.ts',
      'test/bed/versions',
    ];
    for (const name of names) {
      mkdirSync(dirname(join(root, name)), { recursive: true });
      cpSync(join(repository, name), join(root, name));
    }
    symlinkSync(join(repository, 'node_modules'), join(root, 'node_modules'));
    writeFileSync(join(root, '.gitignore'), 'node_modules\n');
    writeFileSync(join(root, 'CHANGELOG.md'), CHANGELOG);
    git('init', '-q', '-b', 'main');
    git('add', '-A');
    git('commit', '-q', '-m', 'The tree');
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  test('every file that says the version says the new one, in one commit with a tag', () => {
    const { status, stdout, stderr } = version('2.3.4');
    expect([status, stdout, stderr]).toEqual([0, '', expect.stringContaining('git push origin HEAD v2.3.4')]);
    const packages = globSync('packages/*/package.json', { cwd: root });
    expect(packages.length).toBeGreaterThan(3);
    for (const path of ['package.json', 'package-lock.json', ...packages])
      expect(manifest(path).version).toBe('2.3.4');
    expect(manifest('packages/engine/package.json').devDependencies).toMatchObject({
      '@kg-operator/api': '2.3.4',
      '@kg-operator/config': '2.3.4',
      kysely: expect.not.stringContaining('2.3.4'),
    });
    expect(manifest('package-lock.json').packages['packages/engine']).toMatchObject({
      version: '2.3.4',
      devDependencies: { '@kg-operator/api': '2.3.4' },
    });
    expect(readFileSync(join(root, 'operator.sh'), 'utf8')).toMatch(/^KG_VERSION=2\.3\.4$/m);
    const compose = readFileSync(join(root, 'docker/docker-compose.ghcr.yml'), 'utf8');
    expect(new Set(compose.match(/IMAGE_TAG:-[^}]*/g))).toEqual(new Set(['IMAGE_TAG:-2.3.4']));
    expect(readFileSync(join(root, 'CHANGELOG.md'), 'utf8')).toMatch(
      /^## 2\.3\.4 \(\d{4}-\d\d-\d\d\)\n\n- One\.$/m,
    );
    expect(git('log', '-1', '--format=%s')).toBe('Release 2.3.4\n');
    expect(git('rev-list', '-1', 'v2.3.4')).toBe(git('rev-list', '-1', 'HEAD'));
    expect(git('status', '--porcelain')).toBe('');
  });

  test.each([
    [['1.0.0'], 'not higher than 1.0.0', () => undefined],
    [['0.0.9'], 'not higher', () => undefined],
    [['1.2'], '1.2 is no version', () => undefined],
    [[], 'which version', () => undefined],
    [['2.0.0'], 'differs from its commit', () => writeFileSync(join(root, 'operator.sh'), 'changed')],
    [['2.0.0'], 'differs from its commit', () => writeFileSync(join(root, 'new'), '')],
    [['2.0.0'], 'there is a tag v2.0.0', () => git('tag', 'v2.0.0')],
    [['2.0.0'], 'nothing is written under', () => void version('1.5.0')],
  ])('%s is refused, and nothing changes: %s', (args, message, prepare) => {
    prepare();
    const before = [git('rev-parse', 'HEAD'), git('status', '--porcelain'), git('tag')];
    const { status, stderr } = version(...args);
    expect([status, stderr]).toEqual([1, expect.stringContaining(message)]);
    expect([git('rev-parse', 'HEAD'), git('status', '--porcelain'), git('tag')]).toEqual(before);
  });

  test.each([
    ['2.0.0', /this tree is version .*, not 2\.0\.0/],
    ['', /which version/],
  ])('a step of another version than the tree is refused: %s', (wanted, message) => {
    const { status, stderr } = spawnSync('sh', [join(root, 'release/manifest.sh'), wanted], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([1, expect.stringMatching(message)]);
  });

  test('run.sh knows its steps', () => {
    const { status, stderr } = spawnSync(
      'sh',
      [join(root, 'release/run.sh'), manifest('package.json').version, 'sing'],
      {
        encoding: 'utf8',
      },
    );
    expect([status, stderr]).toEqual([1, expect.stringContaining('there is no step sing')]);
  });
});
