import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseDatabaseUrl } from '@kg-operator/config';
import { nameProgram, nameProgramIn } from '../../src/cli/program.ts';
import { databaseSettings, readSettings } from '../../src/model/settings.ts';

const root = mkdtempSync(join(tmpdir(), 'kg-modes-'));

describe('the mode is chosen once', () => {
  test.each([
    [{ KG_ROOT: root }, 'containers'],
    [{ KG_ROOT: root, DATABASE_URL: 'postgres://x' }, 'containers'],
    [{ DATABASE_URL: 'postgres://x' }, 'postgres'],
    [{ POSTGRES_HOST: 'db' }, 'postgres'],
    [{ POSTGRES_PASSWORD_FILE: '/run/secrets/p', KG_DATA: 'x' }, 'postgres'],
    [{ KG_DATA: 'x' }, 'embedded'],
    [{}, 'embedded'],
  ] as const)('%j: %s', (env, mode) => expect(readSettings(env).mode).toBe(mode));

  test('.env in the folder chooses it by an address, not by the password that operator.sh writes', () => {
    const before = process.cwd();
    const folder = mkdtempSync(join(tmpdir(), 'kg-modes-'));
    try {
      process.chdir(folder);
      writeFileSync('.env', 'POSTGRES_PASSWORD=abc\n');
      expect(readSettings({}).mode).toBe('embedded');
      writeFileSync('.env', 'POSTGRES_PASSWORD=abc\nDATABASE_URL=postgres://me@db:5433/kg\n');
      const settings = readSettings({});
      expect(settings.mode).toBe('postgres');
      const { password, ...address } = databaseSettings(settings, {});
      expect(address).toEqual({ host: 'db', port: 5433, user: 'me', database: 'kg' });
      expect(password.reveal()).toBe('abc');
      expect(
        databaseSettings(settings, { DATABASE_URL: 'postgres://me:own@other/kg' }).password.reveal(),
      ).toBe('own');
    } finally {
      process.chdir(before);
    }
  });

  test('the data directory is absolute', () => {
    expect(readSettings({ KG_DATA: 'some where' }).dataDirectory).toBe(resolve('some where'));
    expect(readSettings({}).dataDirectory).toBe(resolve('.kg'));
  });
});

describe('DATABASE_URL', () => {
  test.each([
    ['postgres://u:p@h:1/d', { host: 'h', port: 1, user: 'u', database: 'd' }, 'p'],
    ['postgresql://u%40x:p%2Fq@h/d', { host: 'h', port: 5432, user: 'u@x', database: 'd' }, 'p/q'],
    ['postgres://h', { host: 'h', port: 5432, user: 'kg', database: 'kg' }, 'elsewhere'],
    ['postgres://[::1]:5433/d', { host: '::1', port: 5433, user: 'kg', database: 'd' }, 'elsewhere'],
    [
      'postgres://h/d?sslmode=require',
      { host: 'h', port: 5432, user: 'kg', database: 'd', tls: 'require' },
      'elsewhere',
    ],
    [
      'postgres://h/d?sslmode=verify-full',
      { host: 'h', port: 5432, user: 'kg', database: 'd', tls: 'verify' },
      'elsewhere',
    ],
  ])('%s', (url, address, secret) => {
    const { password, ...rest } = parseDatabaseUrl(url, { POSTGRES_PASSWORD: 'elsewhere' });
    expect([rest, password.reveal()]).toEqual([address, secret]);
  });

  test.each([
    '',
    'hunter2',
    'mysql://u:hunter2@h/d',
    'postgres://u:hunter2@h/d?sslmode=odd',
    'postgres://u:hunter2@h/d?host=/tmp',
  ])('is refused without being repeated: %s', (url) => {
    expect(() => parseDatabaseUrl(url, {})).toThrow(/DATABASE_URL/);
    expect(() => parseDatabaseUrl(url, {})).not.toThrow(/hunter2/);
  });
});

test('the next command is named as it can be run here', () => {
  const here = (text: string) => nameProgram(text, 'npx kg-operator', false);
  expect(here('run ./operator.sh migrate')).toBe('run npx kg-operator migrate');
  expect(here('./operator.sh start --infra-only, then ./operator.sh config admin')).toBe(
    'npx kg-operator dev, then npx kg-operator config admin',
  );
  expect(here('npx kg-operator dev, or kg-operator status')).toBe(
    'npx kg-operator dev, or npx kg-operator status',
  );
  expect(here('for containers use ./operator.sh')).toBe('for containers use ./operator.sh');
  expect(nameProgram('run ./operator.sh migrate', 'npx kg-operator', true)).toBe('run ./operator.sh migrate');
  expect(nameProgramIn({ next: ['./operator.sh config admin'], n: 1, none: null })).toEqual({
    next: [expect.stringMatching(/kg-operator config admin$/)],
    n: 1,
    none: null,
  });
});
