import { createHash, createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { Secret } from '@kg-operator/config';
import { assessLayers, nextCommands } from '../../src/checks/layers.ts';
import { withRotationHint } from '../../src/cli/rotation-hint.ts';
import { EXIT, OperatorError } from '../../src/model/errors.ts';
import { renewalInForce, stagedRenewal, unfinishedRotation } from '../../src/model/rotation.ts';
import { readSettings } from '../../src/model/settings.ts';
import { scramVerifier } from '../../src/rotation/scram.ts';
import { runningPlatform } from '../observed.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kg-rotation-'));
});

const env = (change: Record<string, string> = {}, mark = '') => {
  const values = {
    ENCRYPTION_KEY: 'e0',
    OAUTH_SIGNING_KEY: '00',
    GARAGE_RPC_SECRET: 'a0',
    GARAGE_ADMIN_TOKEN: 'a1',
    ...change,
  };
  const lines = Object.entries(values).map(([key, value]) => `${key}=${value}\n`);
  return `${mark && `# Rotated ${mark} 2026-01-01T00:00:00Z\n`}${lines.join('')}`;
};
const place = (file: string, text: string) => writeFile(join(root, file), text);

describe('the files of a rotation', () => {
  test('which secret is unfinished: by the mark of .env.next, otherwise of .env beside .env.previous', async () => {
    await place('.env', env());
    expect(unfinishedRotation(root)).toBeNull();
    await place('.env', env({}, 'oauth-key'));
    expect(unfinishedRotation(root)).toBeNull();
    await place('.env.previous', env());
    expect(unfinishedRotation(root)).toBe('oauth-key');
    await place('.env.next', env({}, 'encryption-key'));
    expect(unfinishedRotation(root)).toBe('encryption-key');
    await place('.env.next', env({}, 'something-else'));
    expect(unfinishedRotation(root)).toBe('unknown');
  });

  test('the values before and after, and nothing else may differ', async () => {
    await place('.env', env());
    expect(() => stagedRenewal(root, 'encryption-key')).toThrow(
      expect.objectContaining({ code: 'ROTATION_NOT_STAGED', hint: './operator.sh rotate encryption-key' }),
    );
    await place('.env.next', env({ ENCRYPTION_KEY: 'e1' }, 'encryption-key'));
    const { from, to } = stagedRenewal(root, 'encryption-key');
    expect([from.get('ENCRYPTION_KEY')?.reveal(), to.get('ENCRYPTION_KEY')?.reveal()]).toEqual(['e0', 'e1']);
    for (const [secret, change] of [
      ['oauth-key', { ENCRYPTION_KEY: 'e1' }],
      ['encryption-key', {}],
      ['encryption-key', { ENCRYPTION_KEY: 'e1', OAUTH_SIGNING_KEY: '01' }],
      ['encryption-key', { ENCRYPTION_KEY: 'e1', POSTGRES_PASSWORD: '01' }],
      ['garage-secret', { GARAGE_RPC_SECRET: 'a2' }],
    ] as const) {
      await place('.env.next', env(change));
      expect(() => stagedRenewal(root, secret)).toThrow(expect.objectContaining({ code: 'ROTATION_FILES' }));
    }
    await place('.env.next', env({ GARAGE_RPC_SECRET: 'a2', GARAGE_ADMIN_TOKEN: 'a3' }));
    expect([...stagedRenewal(root, 'garage-secret').to.keys()]).toEqual([
      'GARAGE_RPC_SECRET',
      'GARAGE_ADMIN_TOKEN',
    ]);
    await place('.env.previous', env({ ENCRYPTION_KEY: 'e9' }));
    expect(() => stagedRenewal(root, 'garage-secret')).toThrow(
      expect.objectContaining({ code: 'ROTATION_FILES' }),
    );
  });

  test('in force: from .env.previous to .env', async () => {
    await place('.env', env({ OAUTH_SIGNING_KEY: '01' }, 'oauth-key'));
    expect(() => renewalInForce(root, 'oauth-key')).toThrow(
      expect.objectContaining({ code: 'ROTATION_NOT_STAGED' }),
    );
    await place('.env.previous', env());
    const { from, to } = renewalInForce(root, 'oauth-key');
    expect([from.get('OAUTH_SIGNING_KEY')?.reveal(), to.get('OAUTH_SIGNING_KEY')?.reveal()]).toEqual([
      '00',
      '01',
    ]);
  });
});

describe('other commands in the middle of a rotation', () => {
  const refused = new OperatorError('DATABASE_PASSWORD', 'the database refused POSTGRES_PASSWORD', {
    exitCode: EXIT.precondition,
    hint: 'restore the .env that belongs to this database',
  });

  test('what the rotation explains gets its command as the hint; other errors stay as they are', async () => {
    const settings = readSettings({ KG_ROOT: root });
    expect(withRotationHint(refused, settings)).toBe(refused);
    await place('.env', env());
    await place('.env.next', env({}, 'postgres-password'));
    expect(withRotationHint(refused, settings)).toMatchObject({
      code: 'DATABASE_PASSWORD',
      exitCode: EXIT.precondition,
      hint: 'a rotation is not finished: ./operator.sh rotate postgres-password',
    });
    const other = new OperatorError('USAGE', 'x', { exitCode: EXIT.usage });
    expect(withRotationHint(other, settings)).toBe(other);
    expect(withRotationHint(refused, undefined)).toBe(refused);
    await rm(join(root, '.env.next'));
  });

  test('status names it', () => {
    const observed = { ...runningPlatform(), rotation: 'garage-secret' as const };
    expect(assessLayers(observed)[0]).toMatchObject({ name: 'secrets', ok: false });
    expect(nextCommands(observed)).toEqual(['./operator.sh rotate garage-secret']);
  });
});

test('a SCRAM verifier checks the client and signs for the server as in the example of RFC 7677 §3', () => {
  const salt = 'W22ZaJ0SNY7soEsUEjb6gQ==';
  const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
  const message = `n=user,r=rOprNGfwEbeRWgbNEkqO,r=${nonce},s=${salt},i=4096,c=biws,r=${nonce}`;
  const proof = Buffer.from('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=', 'base64');

  const verifier = scramVerifier(new Secret('pencil'), Buffer.from(salt, 'base64'));
  const [, , keys = ''] = /^(SCRAM-SHA-256\$4096:[^$]+)\$(.+)$/.exec(verifier) ?? [];
  expect(verifier.startsWith(`SCRAM-SHA-256$4096:${salt}$`)).toBe(true);
  const [storedKey, serverKey] = keys.split(':').map((key) => Buffer.from(key, 'base64'));
  if (!storedKey || !serverKey) throw new Error(verifier);
  const hmac = (key: Buffer) => createHmac('sha256', key).update(message).digest();
  const clientKey = hmac(storedKey).map((byte, index) => byte ^ (proof[index] ?? 0));
  expect(createHash('sha256').update(clientKey).digest()).toEqual(storedKey);
  expect(hmac(serverKey).toString('base64')).toBe('6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=');
});
