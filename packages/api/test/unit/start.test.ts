import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import {
  ConfigurationIncomplete,
  InvalidEncryptionKey,
  openDatabase,
  readSecret,
  SchemaMissing,
  Secret,
  SettingInvalid,
  WrongEncryptionKey,
} from '@kg-operator/config';
import { SigningKeyInvalid } from '../../src/signing-keys.ts';
import {
  DatabaseRefusesUs,
  DatabaseUnreachable,
  exitCodeOf,
  readAll,
  waitForDatabase,
} from '../../src/start.ts';

test.each([
  [new SigningKeyInvalid(), 3],
  [new InvalidEncryptionKey(), 3],
  [new SettingInvalid('web.title', 'one line'), 4],
  [new DatabaseRefusesUs(undefined), 3],
  [new ConfigurationIncomplete([{ item: 'AI provider', command: './operator.sh config ai-provider' }]), 4],
  [new WrongEncryptionKey('a', 'b'), 4],
  [new DatabaseUnreachable('ECONNREFUSED', undefined), 7],
  [new SchemaMissing(), 8],
  [new Error('a bug'), 1],
])('%s ends the process with %i', (error, code) => {
  expect(exitCodeOf(error)).toBe(code);
});

test('all missing secrets are named at once', () => {
  const read = () =>
    readAll({
      one: () => readSecret('ONE', {}),
      two: () => readSecret('TWO', { TWO: '2' }),
      three: () => readSecret('THREE', { THREE: '' }),
    });
  expect(read).toThrow(/ONE is not set.*\n.*THREE is empty/);
  expect(read).not.toThrow(/TWO/);
});

test('a database that never answers is given up', async () => {
  const reasons: string[] = [];
  const db = openDatabase({
    host: '127.0.0.1',
    port: 9,
    user: 'kg',
    database: 'kg',
    password: new Secret('x'),
  });
  const waiting = waitForDatabase(db, {
    deadlineMs: 1500,
    intervalMs: 300,
    onRetry: (reason) => reasons.push(reason),
  });
  await expect(waiting).rejects.toThrow(DatabaseUnreachable);
  expect(reasons).toEqual(['ECONNREFUSED']);
  await db.destroy();
});

test('the process without secrets: exit 3, and a message with every name and nothing else', () => {
  const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [main], {
    env: { ENCRYPTION_KEY_FILE: '/nowhere' },
    encoding: 'utf8',
  });
  expect(status).toBe(3);
  expect(stderr).toMatch(/^The API cannot start: secrets are missing/);
  for (const name of ['POSTGRES_PASSWORD', 'ENCRYPTION_KEY', 'OAUTH_SIGNING_KEY']) {
    expect(stderr).toContain(`  - ${name} is not`);
  }
  expect(stderr).not.toContain('    at ');
});
