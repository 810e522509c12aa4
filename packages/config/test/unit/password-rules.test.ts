import { expect, test } from '@jest/globals';
import { hashPassword, passwordFingerprint, passwordProblem, Secret } from '../../src/index.ts';

test.each([
  ['short', /has 5 characters: use 12 to 1024/],
  ['x'.repeat(1025), /has 1025 characters/],
  ['aaaaaaaaaaaa', /different/],
  ['abababababab', /different/],
  ['123456789012', /sequence/],
  ['098765432109', /sequence/],
  ['password1234', /default/],
  ['AdminPassword!', /default/],
  ['change-me-2026', /default/],
  ['kg-operator-admin', /default/],
  ['P@ssw0rd-2026', /default/],
  ['!Adm1nP4ssword', /default/],
  ['1qaz2wsx3edc!', /default/],
  ['CorrectHorseBatteryStaple', /default/],
  ['Ada.Lovelace', /user name/],
  ['ada.lovelace-2026', /user name/],
])('%# of the refused ones is, and not repeated', (password, why) => {
  const problem = passwordProblem(new Secret(password), 'ada.lovelace');
  expect(problem).toMatch(why);
  expect(problem?.toLowerCase()).not.toContain(password.toLowerCase());
});

test.each(['correct horse battery', 'the first password', 'K7#xQ9!vLm2$', '739104826651', 'пароль из слов'])(
  '%s is accepted',
  (password) => {
    expect(passwordProblem(new Secret(password), 'ada')).toBeNull();
  },
);

test('the fingerprint is of the hash, which has a salt: the same password twice is two fingerprints', async () => {
  const hash = await hashPassword('correct horse battery');
  expect(passwordFingerprint(hash)).toMatch(/^[0-9a-f]{16}$/);
  expect(passwordFingerprint(hash)).toBe(passwordFingerprint(hash));
  expect(passwordFingerprint(await hashPassword('correct horse battery'))).not.toBe(
    passwordFingerprint(hash),
  );
});
