import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { parseEnvFile } from '../../src/model/env-file.ts';
import { ensureSecrets } from '../../src/run/secrets.ts';

const folder = () => join(mkdtempSync(join(tmpdir(), 'kg secrets ')), '.kg');
const onUnix = process.platform === 'win32' ? test.skip : test;

test('the names and forms that operator.sh init writes, in its grammar', async () => {
  const data = folder();
  expect(await ensureSecrets(data)).toBe(true);
  const { values, problems } = parseEnvFile(readFileSync(join(data, '.env'), 'utf8'));
  expect(problems).toEqual([]);
  expect(Object.fromEntries([...values].map(([name, value]) => [name, value.length]))).toEqual({
    ENCRYPTION_KEY: 64,
    OAUTH_SIGNING_KEY: 64,
    GARAGE_RPC_SECRET: 64,
    GARAGE_ADMIN_TOKEN: 64,
    POSTGRES_PASSWORD: 48,
  });
  for (const value of values.values()) expect(value).toMatch(/^[0-9a-f]+$/);
  expect(new Set(values.values()).size).toBe(5);
  const shim = readFileSync(new URL('../../../../operator.sh', import.meta.url), 'utf8');
  for (const name of values.keys()) expect(/^SECRETS='([^']+)'/m.exec(shim)?.[1]?.split(' ')).toContain(name);
});

onUnix('nobody else can read them, and nothing else is left behind', async () => {
  const data = folder();
  await ensureSecrets(data);
  expect(statSync(join(data, '.env')).mode & 0o777).toBe(0o600);
  expect(statSync(data).mode & 0o777).toBe(0o700);
  expect(readdirSync(data)).toEqual(['.env']);
});

test('written once: a second time changes nothing, two at once write one', async () => {
  const data = folder();
  const results = await Promise.all([ensureSecrets(data), ensureSecrets(data), ensureSecrets(data)]);
  expect(results.filter(Boolean)).toHaveLength(1);
  const text = readFileSync(join(data, '.env'), 'utf8');
  expect(await ensureSecrets(data)).toBe(false);
  expect(readFileSync(join(data, '.env'), 'utf8')).toBe(text);
});

test.each([
  [
    'a database',
    (data: string) => {
      mkdirSync(join(data, 'postgres'), { recursive: true });
      writeFileSync(join(data, 'postgres/PG_VERSION'), '18\n');
    },
  ],
  [
    'documents',
    (data: string) => {
      mkdirSync(join(data, 'objects/documents'), { recursive: true });
      writeFileSync(join(data, 'objects/documents/one'), '');
    },
  ],
])('never anew over %s', async (_, make) => {
  const data = folder();
  make(data);
  await expect(ensureSecrets(data)).rejects.toMatchObject({ code: 'DATA_WITHOUT_ENV', exitCode: 3 });
  expect(readdirSync(data)).not.toContain('.env');
});

test('what a killed creation left is no data', async () => {
  const data = folder();
  mkdirSync(join(data, 'postgres'), { recursive: true });
  writeFileSync(join(data, 'postgres/PG_VERSION'), '18\n');
  writeFileSync(join(data, 'postgres.creating'), '');
  expect(await ensureSecrets(data)).toBe(true);
});

test('a file that was changed is refused by name of the secret, without its value', async () => {
  const data = folder();
  await ensureSecrets(data);
  const path = join(data, '.env');
  writeFileSync(path, readFileSync(path, 'utf8').replace(/^ENCRYPTION_KEY=.*$/m, 'ENCRYPTION_KEY=hunter2'));
  const failure = await ensureSecrets(data).catch((error) => error);
  expect(failure).toMatchObject({
    code: 'SECRETS_INVALID',
    details: ['ENCRYPTION_KEY must be 64 lower-case hex digits'],
  });
  expect(JSON.stringify(failure)).not.toContain('hunter2');
});

onUnix('a file that others can read is refused', async () => {
  const data = folder();
  await ensureSecrets(data);
  chmodSync(join(data, '.env'), 0o644);
  await expect(ensureSecrets(data)).rejects.toMatchObject({ code: 'SECRETS_READABLE', exitCode: 3 });
});

test('a folder that cannot be read may hold data: no new secrets', async () => {
  const data = folder();
  mkdirSync(data);
  writeFileSync(join(data, 'objects'), 'not a folder');
  await expect(ensureSecrets(data)).rejects.toThrow(/ENOTDIR/);
  expect(readdirSync(data)).toEqual(['objects']);
});

test('a database that lost its PG_VERSION still counts as data', async () => {
  const data = folder();
  mkdirSync(join(data, 'postgres/base'), { recursive: true });
  writeFileSync(join(data, 'postgres/base/1'), 'rows');
  await expect(ensureSecrets(data)).rejects.toMatchObject({ code: 'DATA_WITHOUT_ENV' });
});
