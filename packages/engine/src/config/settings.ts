import {
  checkSetting,
  describeSetting,
  formatSetting,
  type PlatformSettings,
  parseSetting,
  SETTINGS,
  type SettingDeclaration,
  SettingInvalid,
  type SettingName,
  SettingUnknown,
  settingName,
  type Tables,
} from '@kg-operator/config';
import type { Kysely, Transaction } from 'kysely';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type Actor, type Change, changeConfig, recordChange } from './history.ts';

export type SettingValue = PlatformSettings[SettingName];

/** Rows of `kg_api.platform_settings` that are no settings: the object store, and all about backups. */
export function isOtherTopic(key: string): boolean {
  return key === 'object_store' || key === 'backup';
}

/** A setting as it may be shown. */
export interface SettingView {
  name: SettingName;
  /** In force. */
  value: SettingValue;
  default: SettingValue;
  /** Stored; otherwise it follows the default, also of a later version. */
  isSet: boolean;
  /** Which values it can have, in words. */
  allowed: string;
  description: string;
}

/** The value that a command line's `text` stands for. @throws OperatorError SETTING_UNKNOWN, SETTING_INVALID */
export function readSettingText(name: string, text: string): SettingValue {
  return orUsageError(() => parseSetting(name, text));
}

/** @throws OperatorError SETTING_UNKNOWN */
export function requireSetting(name: string): SettingName {
  return orUsageError(() => settingName(name));
}

/** Stores a setting. The same again changes nothing. @throws OperatorError SETTING_UNKNOWN, SETTING_INVALID */
export async function setSettingIn(
  trx: Transaction<Tables>,
  input: { name: string; value: SettingValue } & Actor,
): Promise<Change> {
  const value = orUsageError(() => checkSetting(input.name, input.value));
  const stored = await findSetting(trx, input.name);
  if (stored && stored.value === value) return { changed: false };
  const json = { value: JSON.stringify(value), updated_at: new Date() };
  await trx
    .insertInto('kg_api.platform_settings')
    .values({ key: input.name, ...json })
    .onConflict((conflict) => conflict.column('key').doUpdateSet(json))
    .execute();
  await recordChange(trx, input, {
    topic: 'setting',
    action: stored ? 'update' : 'create',
    subject: input.name,
    before: stored ? { value: stored.value } : null,
    after: { value },
  });
  return { changed: true };
}

export function setSetting(
  db: Kysely<Tables>,
  input: { name: string; value: SettingValue } & Actor,
): Promise<Change> {
  return changeConfig(db, (trx) => setSettingIn(trx, input));
}

/** Back to the default, whatever is stored. Again it changes nothing. @throws OperatorError SETTING_UNKNOWN */
export async function unsetSettingIn(
  trx: Transaction<Tables>,
  input: { name: string } & Actor,
): Promise<Change> {
  const { name } = input;
  // What an older or newer version has left here may be no setting of this one; rows of other topics are not.
  const stored = isOtherTopic(name) ? undefined : await findSetting(trx, name);
  if (!stored) {
    requireSetting(name);
    return { changed: false };
  }
  await trx.deleteFrom('kg_api.platform_settings').where('key', '=', name).execute();
  await recordChange(trx, input, {
    topic: 'setting',
    action: 'delete',
    subject: name,
    before: { value: stored.value },
    after: null,
  });
  return { changed: true };
}

export function unsetSetting(db: Kysely<Tables>, input: { name: string } & Actor): Promise<Change> {
  return changeConfig(db, (trx) => unsetSettingIn(trx, input));
}

/** Every setting there is, in order of declaration. */
export async function listSettings(db: Kysely<Tables>): Promise<SettingView[]> {
  const rows = await db.selectFrom('kg_api.platform_settings').select(['key', 'value']).execute();
  return viewSettings(rows);
}

/** The same from rows of `kg_api.platform_settings`. */
export function viewSettings(rows: { key: string; value: unknown }[]): SettingView[] {
  const stored = new Map(rows.map(({ key, value }) => [key, value]));
  return Object.entries<SettingDeclaration>(SETTINGS).map(([key, declaration]) => {
    const name = key as SettingName;
    const isSet = stored.has(name);
    const fallback = declaration.default as SettingValue;
    return {
      name,
      value: isSet ? (stored.get(name) as SettingValue) : fallback,
      default: fallback,
      isSet,
      allowed: describeSetting(declaration),
      description: declaration.description,
    };
  });
}

/** A value as it is typed. */
export function settingText(name: SettingName, value: SettingValue): string {
  return formatSetting(name, value as never);
}

function findSetting(trx: Transaction<Tables>, key: string) {
  return trx.selectFrom('kg_api.platform_settings').select('value').where('key', '=', key).executeTakeFirst();
}

function orUsageError<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof SettingUnknown)
      throw new OperatorError('SETTING_UNKNOWN', error.message, {
        exitCode: EXIT.usage,
        hint: './operator.sh config get lists every setting',
        cause: error,
      });
    if (error instanceof SettingInvalid)
      throw new OperatorError('SETTING_INVALID', error.message, {
        exitCode: EXIT.usage,
        hint: `./operator.sh config set ${error.setting} VALUE`,
        cause: error,
      });
    throw error;
  }
}
