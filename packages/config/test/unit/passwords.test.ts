import { argon2Sync, randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { hashPassword, verifyPassword } from '../../src/index.ts';

test.each(['correct horse battery', 'pässwörd 🐎', 'x'.repeat(1024)])(
  'the password and no other: %#',
  async (password) => {
    const hash = await hashPassword(password);
    expect(await verifyPassword(hash, password)).toBe(true);
    expect(await verifyPassword(hash, `${password}x`)).toBe(false);
    expect(await verifyPassword(hash, password.slice(1))).toBe(false);
  },
);

test('a hash made with other parameters is read with those', async () => {
  const parameters = { nonce: randomBytes(16), parallelism: 2, tagLength: 24, memory: 1024, passes: 3 };
  const digest = argon2Sync('argon2id', { message: 'anything', ...parameters });
  const base64 = (bytes: Buffer) => bytes.toString('base64').replaceAll('=', '');
  const hash = `$argon2id$v=19$m=1024,t=3,p=2$${base64(parameters.nonce)}$${base64(digest)}`;
  expect(await verifyPassword(hash, 'anything')).toBe(true);
  expect(await verifyPassword(hash, 'anything else')).toBe(false);
});

test.each(['', 'plain text', '$argon2id$v=19$m=1,t=1,p=1$', '$2b$12$abcdefghijklmnopqrstuv'])(
  'what is no such hash matches nothing: %j',
  async (hash) => {
    expect(await verifyPassword(hash, 'anything')).toBe(false);
    expect(await verifyPassword(hash, hash)).toBe(false);
  },
);

test('verifying leaves the event loop free', async () => {
  const hash = await hashPassword('correct horse battery');
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 1);
  await Promise.all(Array.from({ length: 4 }, () => verifyPassword(hash, 'correct horse battery')));
  clearInterval(timer);
  expect(turns).toBeGreaterThan(5);
});
