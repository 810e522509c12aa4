import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  checkSetting,
  describeSetting,
  formatSetting,
  nearest,
  parseSetting,
  SETTINGS,
  type SettingDeclaration,
  SettingInvalid,
  type SettingName,
  SettingUnknown,
  settingsOf,
} from '../../src/index.ts';

const settings = Object.entries(SETTINGS) as [SettingName, SettingDeclaration][];

/** Every value a setting can have. */
function values(declaration: SettingDeclaration): fc.Arbitrary<boolean | number | string> {
  if (declaration.type === 'boolean') return fc.boolean();
  if (declaration.type === 'integer') return fc.integer({ min: declaration.min, max: declaration.max });
  const visible = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: declaration.maxLength });
  return visible.filter((text) => text.trim() !== '');
}

describe.each(settings)('%s', (name, declaration) => {
  test('its default is a value it can have', () => {
    expect(checkSetting(name, declaration.default)).toBe(declaration.default);
  });

  test('what is formatted is parsed to the same', () => {
    fc.assert(
      fc.property(values(declaration), (value) => {
        expect(parseSetting(name, formatSetting(name, value as never))).toBe(value);
      }),
    );
  });

  test.each([null, undefined, {}, [], Number.NaN, Number.POSITIVE_INFINITY, 1.5])(
    '%p is refused',
    (value) => {
      expect(() => checkSetting(name, value)).toThrow(
        new SettingInvalid(name, describeSetting(declaration)).message,
      );
    },
  );

  test('the empty text is refused', () => {
    expect(() => parseSetting(name, '')).toThrow(SettingInvalid);
  });
});

test.each([
  ['auth.token-lifetime', '299', 'a whole number from 300 to 86400 (seconds)'],
  ['auth.token-lifetime', '86401', 'a whole number from 300 to 86400 (seconds)'],
  ['auth.token-lifetime', '1e3', 'a whole number from 300 to 86400 (seconds)'],
  ['auth.token-lifetime', ' 600', 'a whole number from 300 to 86400 (seconds)'],
  ['auth.token-lifetime', '0x258', 'a whole number from 300 to 86400 (seconds)'],
  ['auth.token-lifetime', '9'.repeat(400), 'a whole number from 300 to 86400 (seconds)'],
  ['auth.login-attempts', '-1', 'a whole number from 1 to 1000 (per minute)'],
  ['web.title', 'x'.repeat(61), 'one line of 1 to 60 characters'],
  ['web.title', 'two\nlines', 'one line of 1 to 60 characters'],
  ['web.title', 'two\u2028lines', 'one line of 1 to 60 characters'],
  ['web.title', '   ', 'one line of 1 to 60 characters'],
  ['web.title', 'half \ud83d', 'one line of 1 to 60 characters'],
  ['web.title', 'nul \0', 'one line of 1 to 60 characters'],
])('%s refuses %j', (name, text, expected) => {
  expect(() => parseSetting(name, text)).toThrow(
    expect.objectContaining({
      name: 'SettingInvalid',
      setting: name,
      expected,
      message: `${name} must be ${expected}`,
    }),
  );
});

test('a title of 60 characters outside the basic plane fits', () => {
  expect(parseSetting('web.title', '🗝'.repeat(60))).toBe('🗝'.repeat(60));
});

test.each([
  ['auth.token-lifetim', 'auth.token-lifetime'],
  ['AUTH.TOKEN-LIFETIME', 'auth.token-lifetime'],
  ['web.titel', 'web.title'],
  ['documents.maxbytes', 'documents.max-bytes'],
  ['object_store', null],
  ['toString', null],
  ['__proto__', null],
  ['', null],
  ['x'.repeat(10_000), null],
])('there is no setting %j; near is %j', (name, near) => {
  const unknown = expect.objectContaining({ name: 'SettingUnknown', setting: name, nearest: near });
  expect(() => parseSetting(name, '1')).toThrow(unknown);
  expect(() => checkSetting(name, 1)).toThrow(unknown);
});

test('the nearest name is named', () => {
  expect(() => parseSetting('web.titel', 'x')).toThrow(new SettingUnknown('web.titel', 'web.title').message);
  expect(new SettingUnknown('web.titel', 'web.title').message).toBe(
    'there is no setting web.titel; did you mean web.title?',
  );
});

test('a name is near within two fifths of mistakes', () => {
  expect(nearest('opnai', ['openai', 'ollama'])).toBe('openai');
  expect(nearest('abc', ['openai', 'ollama'])).toBeNull();
});

test('all settings: those stored, defaults, and nothing else', () => {
  const rows = [
    { key: 'web.title', value: 'Mine' },
    { key: 'object_store', value: {} },
    { key: 'of.tomorrow', value: 1 },
  ];
  const all = settingsOf(rows);
  expect(Object.keys(all)).toEqual(Object.keys(SETTINGS));
  expect([all['web.title'], all['auth.token-lifetime']]).toEqual(['Mine', 3600]);
  expect(() => settingsOf([{ key: 'web.title', value: 7 }])).toThrow(SettingInvalid);
});
