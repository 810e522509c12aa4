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
type ValueOf<D> = D extends { type: 'integer' } ? number : D extends { type: 'boolean' } ? boolean : string;
/** All settings with their values in force. */
export type PlatformSettings = { [Name in SettingName]: ValueOf<(typeof SETTINGS)[Name]> };
