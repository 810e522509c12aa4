import { nearest } from './nearest.ts';

/** A platform setting: its type, range and default. Stored in `kg_api.platform_settings` under its name; absent: the default. */
export type SettingDeclaration = { description: string } & (
  | { type: 'integer'; default: number; min: number; max: number; unit: string }
  | { type: 'string'; default: string; maxLength: number }
  | { type: 'boolean'; default: boolean }
);

/** Every setting there is. The API reads all of them, and takes up a change within two seconds. */
export const SETTINGS = {
  'auth.token-lifetime': {
    type: 'integer',
    default: 3600,
    min: 300,
    max: 86_400,
    unit: 'seconds',
    description: 'how long a login lasts',
  },
  'auth.login-attempts': {
    type: 'integer',
    default: 10,
    min: 1,
    max: 1000,
    unit: 'per minute',
    description: 'failed logins of one user name per minute, after which it must wait',
  },
  'documents.max-bytes': {
    type: 'integer',
    default: 1_000_000,
    min: 1_000,
    max: 10_000_000,
    unit: 'bytes',
    description: 'largest document that is accepted',
  },
  'extraction.timeout': {
    type: 'integer',
    default: 120,
    min: 5,
    max: 900,
    unit: 'seconds',
    description: 'how long the AI provider may take to answer',
  },
  'graph.max-concepts': {
    type: 'integer',
    default: 500,
    min: 10,
    max: 5_000,
    unit: 'concepts',
    description: 'most concepts that GET /graph answers with',
  },
  'web.title': {
    type: 'string',
    default: 'Knowledge graph',
    maxLength: 60,
    description: 'name of the platform on its pages',
  },
} as const satisfies Record<string, SettingDeclaration>;

export type SettingName = keyof typeof SETTINGS;
const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[];
type ValueOf<D> = D extends { type: 'integer' } ? number : D extends { type: 'boolean' } ? boolean : string;
/** All settings with their values in force. */
export type PlatformSettings = { [Name in SettingName]: ValueOf<(typeof SETTINGS)[Name]> };

/** No setting has this name; `nearest` is the one that was meant, if one is near. */
export class SettingUnknown extends Error {
  readonly setting: string;
  readonly nearest: SettingName | null;

  constructor(setting: string, nearest: SettingName | null) {
    super(`there is no setting ${setting}${nearest ? `; did you mean ${nearest}?` : ''}`);
    this.name = 'SettingUnknown';
    this.setting = setting;
    this.nearest = nearest;
  }
}

/** A value that a setting can't have; the message says what it can. */
export class SettingInvalid extends Error {
  readonly setting: SettingName;
  /** Such as `a whole number from 300 to 86400 (seconds)`. */
  readonly expected: string;

  constructor(setting: SettingName, expected: string) {
    super(`${setting} must be ${expected}`);
    this.name = 'SettingInvalid';
    this.setting = setting;
    this.expected = expected;
  }
}

/** `name`, if there is such a setting. @throws SettingUnknown */
export function settingName(name: string): SettingName {
  if (Object.hasOwn(SETTINGS, name)) return name as SettingName;
  throw new SettingUnknown(name, nearest(name, SETTING_NAMES));
}

/** The value that `text`, from a command line, stands for. @throws SettingUnknown, SettingInvalid */
export function parseSetting(name: string, text: string): PlatformSettings[SettingName] {
  const setting = settingName(name);
  const { type } = SETTINGS[setting] as SettingDeclaration;
  if (type === 'integer' && /^-?\d{1,15}$/.test(text)) return checkSetting(setting, Number(text));
  if (type === 'boolean' && (text === 'true' || text === 'false'))
    return checkSetting(setting, text === 'true');
  return checkSetting(setting, text);
}

/** A value as `parseSetting()` reads it. */
export function formatSetting(_name: SettingName, value: PlatformSettings[SettingName]): string {
  return String(value);
}

/** `value`, if the setting can have it. @throws SettingUnknown, SettingInvalid */
export function checkSetting(name: string, value: unknown): PlatformSettings[SettingName] {
  const setting = settingName(name);
  const declaration = SETTINGS[setting] as SettingDeclaration;
  if (!fits(declaration, value)) throw new SettingInvalid(setting, describeSetting(declaration));
  return value as PlatformSettings[SettingName];
}

/** What values a setting can have, in words. */
export function describeSetting(declaration: SettingDeclaration): string {
  if (declaration.type === 'boolean') return 'true or false';
  if (declaration.type === 'string') return `one line of 1 to ${declaration.maxLength} characters`;
  return `a whole number from ${declaration.min} to ${declaration.max} (${declaration.unit})`;
}

/**
 * All settings, from the rows of `kg_api.platform_settings`: what is not stored has its default, rows that are no settings are passed over.
 * @throws SettingInvalid for a stored value that the setting can't have.
 */
export function settingsOf(rows: { key: string; value: unknown }[]): PlatformSettings {
  const stored = new Map(rows.map(({ key, value }) => [key, value]));
  const entries = Object.entries(SETTINGS).map(([name, declaration]) => [
    name,
    stored.has(name) ? checkSetting(name, stored.get(name)) : declaration.default,
  ]);
  return Object.fromEntries(entries) as PlatformSettings;
}

function fits(declaration: SettingDeclaration, value: unknown): boolean {
  if (declaration.type === 'boolean') return typeof value === 'boolean';
  if (declaration.type === 'string') return typeof value === 'string' && isLine(value, declaration.maxLength);
  return (
    typeof value === 'number' &&
    Number.isInteger(value) &&
    value >= declaration.min &&
    value <= declaration.max
  );
}

/** Something to read on one line. PostgreSQL's JSON holds neither NUL nor half a surrogate pair. */
function isLine(text: string, maxLength: number): boolean {
  const hasBreak = /[\p{Cc}\p{Zl}\p{Zp}]/u.test(text);
  return text.trim() !== '' && !hasBreak && text.isWellFormed() && [...text].length <= maxLength;
}
