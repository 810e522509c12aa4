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
