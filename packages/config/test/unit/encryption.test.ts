import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  hashPassword,
  InvalidEncryptionKey,
  keyIdOf,
  openCredential,
  readSecret,
  Secret,
  sealCredential,
  verifyPassword,
} from '../../src/index.ts';

const key = new Secret('0123456789abcdef'.repeat(4));

describe('credentials', () => {
  test('any text comes back for the same row and key', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), fc.string({ minLength: 1 }), async (text, row) => {
        const { ciphertext } = await sealCredential(key, row, new Secret(text));
        expect(await openCredential(key, row, ciphertext)).toBe(Buffer.from(text, 'utf8').toString('utf8'));
      }),
      { numRuns: 50 },
    );
  });

  test('any flipped bit, another row and another key are refused', async () => {
    const { ciphertext } = await sealCredential(key, 'openai', new Secret('sk-secret'));
    for (let index = 0; index < ciphertext.length; index++) {
      const altered = Buffer.from(ciphertext);
      altered[index] = (altered[index] as number) ^ 1;
      await expect(openCredential(key, 'openai', altered)).rejects.toMatchObject({
        name: 'CredentialUnreadable',
      });
    }
    await expect(openCredential(key, 'garage', ciphertext)).rejects.toMatchObject({ row: 'garage' });
    await expect(openCredential(new Secret('ff'.repeat(32)), 'openai', ciphertext)).rejects.toThrow(
      keyIdOf(key),
    );
    await expect(openCredential(key, 'openai', ciphertext.subarray(0, 40))).rejects.toThrow(/too short/);
  });

  test('the same text never gives the same bytes, and the bytes hold no text', async () => {
    const seal = () => sealCredential(key, 'openai', new Secret('sk-secret'));
    const [first, second] = [await seal(), await seal()];
    expect(first.ciphertext).not.toEqual(second.ciphertext);
    expect(Buffer.from(first.ciphertext).includes('sk-secret')).toBe(false);
  });

  test('the format stays readable: a credential sealed by version 1', async () => {
    const sealed =
      '01d58ef408b4c8911722bca9856e9c70530bae30984358ea692711f582e08c3ce2909457d5d03672e35cf12c644c7d42277aaf8407dcea4687f1';
    expect(await openCredential(key, 'openai', Buffer.from(sealed, 'hex'))).toBe('sk-vector');
  });

  test('a key that is not 64 hexadecimal digits is refused without being repeated', () => {
    expect(() => keyIdOf(new Secret('too short'))).toThrow(InvalidEncryptionKey);
    expect(() => keyIdOf(new Secret('too short'))).not.toThrow(/too short/);
  });
});

describe('passwords', () => {
  test('argon2id with the parameters OWASP asks for; only the right password fits', async () => {
    const hash = await hashPassword('correct horse');
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect([
      await verifyPassword(hash, 'correct horse'),
      await verifyPassword(hash, 'Correct horse'),
      await verifyPassword('nonsense', 'x'),
    ]).toEqual([true, false, false]);
  });
});

describe('Secret', () => {
  test('no way of printing shows it', () => {
    const secret = new Secret('hunter2');
    for (const text of [
      String(secret),
      `${secret}`,
      JSON.stringify([secret]),
      inspect({ secret }, { showHidden: true }),
      Object.values(secret).join(),
    ]) {
      expect(text).not.toContain('hunter2');
    }
  });

  test('comes from the variable or its file, without the last newline; both missing names both', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'kg-')), 'secret');
    writeFileSync(file, 'from file\n');
    expect(readSecret('NAME', { NAME: 'direct' }).reveal()).toBe('direct');
    expect(readSecret('NAME', { NAME_FILE: file }).reveal()).toBe('from file');
    expect(() => readSecret('NAME', {})).toThrow(/NAME.*NAME_FILE/);
    expect(() => readSecret('NAME', { NAME_FILE: '/nowhere' })).toThrow(/ENOENT/);
  });
});
