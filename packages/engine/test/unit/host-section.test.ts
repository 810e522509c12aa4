import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseConfiguration } from '../../src/config/document-parse.ts';
import { assertSecretsThere } from '../../src/config/document-secrets.ts';
import { checkedHostLines, findScript, hostDifferences } from '../../src/config/host-section.ts';

const script = findScript(join(import.meta.dirname, '../..'));
const parse = (text: string) => parseConfiguration(new TextEncoder().encode(text), 'kg.yaml');
const lines = (host: string) => checkedHostLines(parse(`version: 1\nhost:\n${host}`), script);
const detailsOf = (run: () => unknown): string[] => {
  try {
    run();
    return [];
  } catch (error) {
    return (error as { details: string[] }).details;
  }
};

describe('the host section', () => {
  test('is lines of .operator.conf, in the order of the file', () => {
    expect(lines('  WEB_PORT: 3001\n  DEV_MODE: false\n  CONTAINER_PREFIX: "0123"\n')).toEqual([
      ...['WEB_PORT=3001', 'DEV_MODE=false', 'CONTAINER_PREFIX=0123'],
    ]);
    expect(checkedHostLines(parse('version: 1\n'), script)).toEqual([]);
  });

  test('takes every key that .operator.conf.example explains', () => {
    const example = readFileSync(join(import.meta.dirname, '../../../../.operator.conf.example'), 'utf8');
    const keys = [...example.matchAll(/^([A-Z_]+)=/gm)].map(([, key]) => key);
    expect(keys.length).toBeGreaterThan(7);
    const details = detailsOf(() => lines(keys.map((key) => `  ${key}: "no such value"\n`).join('')));
    // The values are wrong, and no key is unknown.
    expect(details.length).toBeGreaterThanOrEqual(keys.length);
    expect(details.filter((line) => line.includes('unknown key'))).toEqual([]);
  });

  test.each([
    ['  WEB_PROT: 3001\n', ['kg.yaml:3:13: host: unknown key WEB_PROT']],
    [
      '  WEB_PORT: 99999\n  BIND_ADDRESS: here\n',
      [
        'kg.yaml:3:13: host: WEB_PORT must be a port, 1 to 65535',
        'kg.yaml:4:17: host: BIND_ADDRESS must be an IPv4 address',
      ],
    ],
    ['  WEB_PORT: 8000\n', ['kg.yaml:3:13: host: WEB_PORT and API_PORT are the same']],
    ['  API_PORT: 3000\n', ['kg.yaml:3:3: host: WEB_PORT and API_PORT are the same']],
    ['  IMAGE_SOURCE: local\n', ['kg.yaml:3:17: host: nothing to build here: IMAGE_SOURCE=ghcr']],
    ['  web_port: 1\n', ['kg.yaml:3:3: host: "web_port" is not known; .operator.conf.example has all keys']],
    [
      '  WEB_PORT: 3000.5\n  API_PORT: [1]\n  IMAGE_TAG: "a\\nDEV_MODE=true"\n',
      [
        'kg.yaml:3:13: host.WEB_PORT must be one line of text, a whole number, true or false',
        'kg.yaml:4:13: host.API_PORT must be one line of text, a whole number, true or false',
        'kg.yaml:5:14: host.IMAGE_TAG must be one line of text, a whole number, true or false',
      ],
    ],
  ])('%j is refused, with its place', (host, expected) => {
    expect(detailsOf(() => lines(host))).toEqual(expected);
  });

  test('where an .operator.conf is there, what differs is named', () => {
    const root = mkdtempSync(join(tmpdir(), 'kg-host-test-'));
    try {
      writeFileSync(join(root, '.operator.conf'), 'WEB_PORT=3001\nAPI_PORT=8000\n');
      const file = parse('version: 1\nhost: {WEB_PORT: 3002, API_PORT: 8000, IMAGE_TAG: x}\n');
      expect(hostDifferences(file, root)).toEqual([
        'host.WEB_PORT of kg.yaml is not used: .operator.conf has WEB_PORT=3001, and stays as it is',
        'host.IMAGE_TAG of kg.yaml is not used: .operator.conf has no IMAGE_TAG, and stays as it is',
      ]);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});

test('secrets that a container can not see are told with what to do', () => {
  const file = parse(
    'version: 1\nusers: {admin: {role: admin, password: {file: /etc/kg/password}}}\napiKeys: {openai: {env: KEY}, anthropic: {file: secrets/a}}\n',
  );
  const places = { env: {}, root: '/opt/kg-operator', inContainer: true };
  expect(detailsOf(() => assertSecretsThere(file, places))).toEqual([
    'kg.yaml:2:40: users.admin.password: /etc/kg/password is outside of /opt/kg-operator, and the operator sees nothing else: put it there, as {file: secrets/password}',
    'kg.yaml:3:19: apiKeys.openai: KEY is not set',
    'kg.yaml:3:42: apiKeys.anthropic: secrets/a is not there',
  ]);
});

test('a secret that is there and can not be one is told as that', () => {
  const file = parse('version: 1\nusers: {admin: {role: admin, password: {env: KG_ADMIN_PASSWORD}}}\n');
  const places = { env: { KG_ADMIN_PASSWORD: 'short' }, root: '/opt/kg-operator', inContainer: true };
  expect(() => assertSecretsThere(file, places)).toThrow("kg.yaml refers to secrets that can't be used");
  expect(detailsOf(() => assertSecretsThere(file, places))).toEqual([
    'kg.yaml:2:40: users.admin.password: env KG_ADMIN_PASSWORD: the password has 5 characters; use 12 to 1024',
  ]);
});
