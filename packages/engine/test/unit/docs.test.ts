import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { EXIT } from '../../src/model/errors.ts';

const repository = new URL('../../../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, repository), 'utf8');

describe('README.md', () => {
  test('lists every exit code of the engine, and no other', () => {
    const listed = [...read('README.md').matchAll(/^\| ([\d, ]+) \| /gm)].flatMap(([, codes]) =>
      (codes ?? '').split(',').map(Number),
    );
    expect(listed.sort((a, b) => a - b)).toEqual([...Object.values(EXIT), 143].sort((a, b) => a - b));
  });

  test('names every command', () => {
    const topics = readdirSync(new URL('packages/engine/src/commands/', repository)).map((name) =>
      name.replace(/\.ts$/, ''),
    );
    const readme = read('README.md');
    expect(topics.length).toBeGreaterThan(5);
    for (const topic of topics) expect(readme).toMatch(new RegExp(`\`(?:npx kg-operator )?${topic}\\b`));
  });
});

describe('docs/migrations.md', () => {
  const docs = read('docs/migrations.md');
  const sources = (folder: string) =>
    readdirSync(new URL(`packages/engine/src/${folder}/`, repository))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => read(`packages/engine/src/${folder}/${name}`))
      .join('\n');

  test('explains every code that a migration can fail with', () => {
    const codes = new Set(
      sources('migrations').match(/(?<=')[A-Z]+(?:_[A-Z]+)+(?=',\n?\s*[`'{])|(?<=code: ')[A-Z_]+(?=')/g),
    );
    expect(codes.size).toBeGreaterThan(20);
    for (const code of codes) expect(docs).toMatch(new RegExp(`^\\| \`${code}\` \\| \\d`, 'm'));
  });

  test('names every command, every flag of migrate and every key of the header', () => {
    const commands = readdirSync(new URL('packages/engine/src/commands/migrate/', repository))
      .map((name) => name.replace(/\.ts$/, ''))
      .filter((name) => name !== 'index');
    for (const command of commands) expect(docs).toContain(`\`migrate ${command}`);
    const flags = read('packages/engine/src/commands/migrate/index.ts').matchAll(
      /^ {4}'?([a-z-]+)'?: (?:Flags|duration)/gm,
    );
    for (const [, flag] of flags) expect(docs).toContain(`--${flag}`);
    for (const key of ['kind', 'transaction', 'timeout', 'lock-timeout', 'description'])
      expect(docs).toContain(`| \`${key}\` |`);
  });
});

test('one version everywhere', () => {
  const version = JSON.parse(read('packages/engine/package.json')).version;
  for (const path of [
    'package.json',
    'packages/config/package.json',
    'packages/api/package.json',
    'packages/web/package.json',
  ]) {
    expect([path, JSON.parse(read(path)).version]).toEqual([path, version]);
  }
  expect(read('operator.sh')).toContain(`KG_VERSION=${version}\n`);
  expect(
    read('docker/docker-compose.ghcr.yml')
      .match(/IMAGE_TAG:-([^}]+)\}/g)
      ?.every((tag) => tag === `IMAGE_TAG:-${version}}`),
  ).toBe(true);
});
