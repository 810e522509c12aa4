import { AI_PROVIDER_FACTS, type AiOptions, type AiProvider, type Tables } from '@kg-operator/config';
import type { Kysely, Selectable, Transaction } from 'kysely';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type Actor, type Change, changeConfig, recordChange, sameFacts } from './history.ts';

/** What is absent stays as it is stored; null means the provider's own default. */
export interface AiProviderInput extends Actor {
  provider: AiProvider;
  model?: string | null | undefined;
  baseUrl?: string | null | undefined;
  options?: { [Name in keyof AiOptions]?: number | null | undefined };
  /** Makes it the one active provider (default), or only stores it. */
  activate?: boolean;
}

/** A stored provider. */
export interface AiProviderSettings {
  provider: AiProvider;
  model: string;
  /** Null: the provider's own address. */
  baseUrl: string | null;
  options: AiOptions;
  active: boolean;
}

/** The ranges of the options. A temperature above 1 is refused by Anthropic's messages. */
export const AI_OPTION_RANGES: Record<keyof AiOptions, { min: number; max: number; integer: boolean }> = {
  temperature: { min: 0, max: 2, integer: false },
  maxTokens: { min: 1, max: 1_000_000, integer: true },
  concurrency: { min: 1, max: 256, integer: true },
};
export const AI_OPTION_NAMES = Object.keys(AI_OPTION_RANGES) as (keyof AiOptions)[];

/** @throws OperatorError URL_INVALID for anything but an http(s) address without user name, password, query or fragment. */
export function checkBaseUrl(baseUrl: string): void {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : null;
  const isPlain = url && [url.username, url.password, url.search, url.hash].every((part) => part === '');
  if (isPlain && /^https?:$/.test(url.protocol)) return;
  throw new OperatorError(
    'URL_INVALID',
    'the base URL is not an http(s) address, or it holds a user name, a query or a fragment',
    { exitCode: EXIT.usage, hint: 'write it like https://llm.example.org/v1' },
  );
}

/**
 * Stores a provider's settings and makes it the one active provider. The same again changes nothing.
 * @throws OperatorError OPTION_INVALID, URL_INVALID, MODEL_MISSING, BASE_URL_MISSING, LOCAL_HAS_NO_OPTIONS
 */
export async function setAiProviderIn(
  trx: Transaction<Tables>,
  input: AiProviderInput,
): Promise<Change & AiProviderSettings> {
  const rows = await trx.selectFrom('kg_api.ai_provider_config').selectAll().execute();
  const stored = rows.find(({ provider }) => provider === input.provider);
  const active = rows.find((row) => row.active);
  const settings = mergeAiSettings(input, stored && settingsOf(stored));
  const wanted = { ...settings, active: (input.activate ?? true) || (stored?.active ?? false) };
  if (stored && sameFacts(settingsOf(stored), wanted)) return { ...wanted, changed: false };
  const isSwitch = wanted.active && !stored?.active;
  if (isSwitch && active)
    await trx
      .updateTable('kg_api.ai_provider_config')
      .set({ active: false, updated_at: new Date() })
      .where('active', '=', true)
      .execute();
  const row = {
    model: wanted.model,
    base_url: wanted.baseUrl,
    options: JSON.stringify(wanted.options),
    active: wanted.active,
    updated_at: new Date(),
  };
  await trx
    .insertInto('kg_api.ai_provider_config')
    .values({ provider: wanted.provider, ...row })
    .onConflict((conflict) => conflict.column('provider').doUpdateSet(row))
    .execute();
  const before = isSwitch ? (active ?? stored) : stored;
  await recordChange(trx, input, {
    topic: 'ai-provider',
    action: isSwitch ? 'activate' : stored ? 'update' : 'create',
    subject: wanted.provider,
    before: before ? factsOf(settingsOf(before)) : null,
    after: factsOf(wanted),
  });
  return { ...wanted, changed: true };
}

export function setAiProvider(
  db: Kysely<Tables>,
  input: AiProviderInput,
): Promise<Change & AiProviderSettings> {
  return changeConfig(db, (trx) => setAiProviderIn(trx, input));
}

/**
 * What a provider's settings will be: the stored ones, or the provider's defaults, with what `input` says. Pure.
 * @throws OperatorError as setAiProviderIn
 */
export function mergeAiSettings(
  input: AiProviderInput,
  stored: AiProviderSettings | undefined,
): Omit<AiProviderSettings, 'active'> {
  const { provider } = input;
  const facts = AI_PROVIDER_FACTS[provider];
  const given = Object.entries(input.options ?? {}).filter(([, value]) => value !== undefined);
  if (
    facts.protocol === 'rules' &&
    (input.model || input.baseUrl || given.some(([, value]) => value !== null))
  )
    throw new OperatorError(
      'LOCAL_HAS_NO_OPTIONS',
      'local is extraction by rules: it has no model, address or options to choose',
      { exitCode: EXIT.usage, hint: 'leave them away, or name the provider they are meant for' },
    );
  if (input.baseUrl) checkBaseUrl(input.baseUrl);
  const baseUrl = input.baseUrl === undefined ? (stored?.baseUrl ?? null) : input.baseUrl;
  const model = (input.model === undefined ? stored?.model : input.model) || facts.model;
  const options: AiOptions = { ...stored?.options };
  for (const [name, value] of given as [keyof AiOptions, number | null][]) {
    if (value === null) delete options[name];
    else options[name] = checkAiOption(provider, name, value);
  }
  if (!model || !/^[\x21-\x7e]{1,200}$/.test(model)) throw missingModel(provider, model);
  if (baseUrl === null && facts.baseUrl === null && facts.protocol !== 'rules')
    throw new OperatorError('BASE_URL_MISSING', `${provider} has no address of its own`, {
      exitCode: EXIT.usage,
      hint: 'say where it is: --base-url https://llm.example.org/v1',
    });
  return { provider, model, baseUrl: baseUrl === null ? null : baseUrl.replace(/\/+$/, ''), options };
}

/** Returns the value if it is in range. @throws OperatorError OPTION_UNKNOWN, OPTION_INVALID */
export function checkAiOption(provider: AiProvider, name: keyof AiOptions, value: number): number {
  if (!Object.hasOwn(AI_OPTION_RANGES, name))
    throw new OperatorError('OPTION_UNKNOWN', `AI providers have no option ${name}`, {
      exitCode: EXIT.usage,
      hint: `there are: ${AI_OPTION_NAMES.join(', ')}`,
    });
  const { min, integer, ...range } = AI_OPTION_RANGES[name];
  const max = name === 'temperature' && AI_PROVIDER_FACTS[provider].protocol === 'anthropic' ? 1 : range.max;
  if (value >= min && value <= max && (!integer || Number.isInteger(value))) return value;
  throw new OperatorError('OPTION_INVALID', `${name} can't be ${value} for ${provider}`, {
    exitCode: EXIT.usage,
    hint: `use ${integer ? 'a whole number' : 'a number'} from ${min} to ${max}`,
  });
}

/**
 * Forgets a stored provider; its API key stays until it is deleted itself.
 * @throws OperatorError PROVIDER_ACTIVE, PROVIDER_NOT_STORED
 */
export async function deleteAiProviderIn(
  trx: Transaction<Tables>,
  input: { provider: AiProvider } & Actor,
): Promise<void> {
  const stored = await trx
    .selectFrom('kg_api.ai_provider_config')
    .selectAll()
    .where('provider', '=', input.provider)
    .executeTakeFirst();
  if (!stored)
    throw new OperatorError('PROVIDER_NOT_STORED', `no settings of ${input.provider} are stored`, {
      exitCode: EXIT.usage,
      hint: 'see ./operator.sh config ai-provider list',
    });
  if (stored.active)
    throw new OperatorError('PROVIDER_ACTIVE', `${input.provider} is the active AI provider`, {
      exitCode: EXIT.precondition,
      hint: 'choose another first: ./operator.sh config ai-provider PROVIDER',
    });
  await trx.deleteFrom('kg_api.ai_provider_config').where('provider', '=', input.provider).execute();
  await recordChange(trx, input, {
    topic: 'ai-provider',
    action: 'delete',
    subject: input.provider,
    before: factsOf(settingsOf(stored)),
    after: null,
  });
}

export function deleteAiProvider(db: Kysely<Tables>, input: { provider: AiProvider } & Actor): Promise<void> {
  return changeConfig(db, (trx) => deleteAiProviderIn(trx, input));
}

/** Every stored provider, by name. */
export async function listAiProviders(db: Kysely<Tables>): Promise<AiProviderSettings[]> {
  const rows = await db.selectFrom('kg_api.ai_provider_config').selectAll().orderBy('provider').execute();
  return rows.map(settingsOf);
}

function settingsOf(row: Selectable<Tables['kg_api.ai_provider_config']>): AiProviderSettings {
  const { provider, model, base_url, options, active } = row;
  return { provider, model, baseUrl: base_url, options, active };
}

/** For the history: options beside the rest, so that each can be shown by itself. */
function factsOf({ options, ...rest }: AiProviderSettings): Record<string, unknown> {
  return { ...rest, ...options };
}

function missingModel(provider: AiProvider, model: string | null): OperatorError {
  return new OperatorError(
    model ? 'MODEL_INVALID' : 'MODEL_MISSING',
    model ? "a model's name has no blanks and at most 200 characters" : `${provider} needs a model`,
    { exitCode: EXIT.usage, hint: 'name one with --model MODEL, as the provider writes it' },
  );
}
