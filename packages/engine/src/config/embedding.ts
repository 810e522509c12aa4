import type { EmbeddingProvider, Precision, Tables } from '@kg-operator/config';
import type { Kysely, Selectable, Transaction } from 'kysely';
import { EXIT, OperatorError } from '../model/errors.ts';
import { checkBaseUrl } from './ai-provider.ts';
import { type Actor, type Change, changeConfig, recordChange, sameFacts } from './history.ts';

/** Used where no model is named; dimensions as their model cards give them. */
export const DEFAULT_EMBEDDING: Record<EmbeddingProvider, { model: string; dimensions: number }> = {
  local: { model: 'nomic-embed-text-v1.5', dimensions: 768 },
  openai: { model: 'text-embedding-3-small', dimensions: 1536 },
  ollama: { model: 'nomic-embed-text', dimensions: 768 },
};
export const MAX_DIMENSIONS = 16_000;

/** What is absent stays as it is stored for the provider; null means its default. */
export interface EmbeddingInput extends Actor {
  provider: EmbeddingProvider;
  model?: string | null | undefined;
  dimensions?: number | null | undefined;
  baseUrl?: string | null | undefined;
  precision?: Precision | null | undefined;
  /** Makes it the one active provider (default), or only stores it. */
  activate?: boolean;
  /** Vectors that no longer fit may be deleted. */
  discardEmbeddings?: boolean;
}

export interface EmbeddingSettings {
  provider: EmbeddingProvider;
  model: string;
  /** Length of a vector. */
  dimensions: number;
  /** Null: the provider's own address. */
  baseUrl: string | null;
  precision: Precision;
  active: boolean;
}

/**
 * Stores the settings of a provider of embeddings and makes it the one active. The same again changes nothing. Vectors made by another
 * model, or of another length, can't be compared with new ones: they are kept only while neither changes. `discarded` were deleted.
 * @throws OperatorError EMBEDDINGS_EXIST with their number, MODEL_INVALID, DIMENSIONS_INVALID, DIMENSIONS_MISSING, URL_INVALID
 */
export async function setEmbeddingIn(
  trx: Transaction<Tables>,
  input: EmbeddingInput,
): Promise<Change & EmbeddingSettings & { discarded: number }> {
  const rows = await trx.selectFrom('kg_api.embedding_config').selectAll().execute();
  const stored = rows.find(({ provider }) => provider === input.provider);
  const active = rows.find((row) => row.active);
  const settings = mergeEmbedding(input, stored && settingsOf(stored));
  const wanted = { ...settings, active: (input.activate ?? true) || (stored?.active ?? false) };
  if (stored && sameFacts(settingsOf(stored), wanted)) return { ...wanted, changed: false, discarded: 0 };
  const discarded = wanted.active ? await discardUnfit(trx, wanted, input.discardEmbeddings ?? false) : 0;
  const isSwitch = wanted.active && !stored?.active;
  if (isSwitch && active)
    await trx
      .updateTable('kg_api.embedding_config')
      .set({ active: false, updated_at: new Date() })
      .where('active', '=', true)
      .execute();
  const row = {
    model: wanted.model,
    dimensions: wanted.dimensions,
    base_url: wanted.baseUrl,
    precision: wanted.precision,
    active: wanted.active,
    updated_at: new Date(),
  };
  await trx
    .insertInto('kg_api.embedding_config')
    .values({ provider: wanted.provider, ...row })
    .onConflict((conflict) => conflict.column('provider').doUpdateSet(row))
    .execute();
  const before = isSwitch ? (active ?? stored) : stored;
  await recordChange(trx, input, {
    topic: 'embedding',
    action: isSwitch ? 'activate' : stored ? 'update' : 'create',
    subject: wanted.provider,
    before: before ? { ...settingsOf(before) } : null,
    after: { ...wanted, ...(discarded > 0 ? { discardedEmbeddings: discarded } : {}) },
  });
  return { ...wanted, changed: true, discarded };
}

export function setEmbedding(
  db: Kysely<Tables>,
  input: EmbeddingInput,
): Promise<Change & EmbeddingSettings & { discarded: number }> {
  return changeConfig(db, (trx) => setEmbeddingIn(trx, input));
}

/** The stored settings, or the provider's defaults, with what `input` says. Pure. @throws OperatorError as setEmbeddingIn */
export function mergeEmbedding(
  input: EmbeddingInput,
  stored: EmbeddingSettings | undefined,
): Omit<EmbeddingSettings, 'active'> {
  const { provider } = input;
  const defaults = DEFAULT_EMBEDDING[provider];
  const model = (input.model === undefined ? stored?.model : input.model) || defaults.model;
  if (!/^[\x21-\x7e]{1,200}$/.test(model))
    throw new OperatorError('MODEL_INVALID', "a model's name has no blanks and at most 200 characters", {
      exitCode: EXIT.usage,
      hint: 'name one with --model MODEL, as the provider writes it',
    });
  const known = model === stored?.model ? stored.dimensions : undefined;
  const ofDefault = model === defaults.model ? defaults.dimensions : undefined;
  const dimensions = (input.dimensions === undefined ? known : input.dimensions) ?? ofDefault;
  if (dimensions === undefined)
    throw new OperatorError('DIMENSIONS_MISSING', `how long are the vectors of ${model}?`, {
      exitCode: EXIT.usage,
      hint: "say so with --dimensions NUMBER; the model's card gives it",
    });
  if (!Number.isInteger(dimensions) || dimensions < 1 || dimensions > MAX_DIMENSIONS)
    throw new OperatorError('DIMENSIONS_INVALID', `vectors can't have ${dimensions} dimensions`, {
      exitCode: EXIT.usage,
      hint: `use a whole number from 1 to ${MAX_DIMENSIONS}`,
    });
  if (input.baseUrl) checkBaseUrl(input.baseUrl);
  const baseUrl = input.baseUrl === undefined ? (stored?.baseUrl ?? null) : input.baseUrl;
  const precision = (input.precision === undefined ? stored?.precision : input.precision) ?? 'float32';
  return {
    provider,
    model,
    dimensions,
    baseUrl: baseUrl === null ? null : baseUrl.replace(/\/+$/, ''),
    precision,
  };
}

/** Forgets a stored provider. @throws OperatorError PROVIDER_ACTIVE, PROVIDER_NOT_STORED */
export async function deleteEmbeddingIn(
  trx: Transaction<Tables>,
  input: { provider: EmbeddingProvider } & Actor,
): Promise<void> {
  const stored = (await listEmbeddings(trx)).find(({ provider }) => provider === input.provider);
  if (!stored)
    throw new OperatorError('PROVIDER_NOT_STORED', `no settings of ${input.provider} are stored`, {
      exitCode: EXIT.usage,
      hint: 'see ./operator.sh config show',
    });
  if (stored.active)
    throw new OperatorError('PROVIDER_ACTIVE', `${input.provider} is the active embedding provider`, {
      exitCode: EXIT.precondition,
      hint: 'choose another first: ./operator.sh config embedding PROVIDER',
    });
  await trx.deleteFrom('kg_api.embedding_config').where('provider', '=', input.provider).execute();
  await recordChange(trx, input, {
    topic: 'embedding',
    action: 'delete',
    subject: input.provider,
    before: { ...stored },
    after: null,
  });
}

/** Every stored provider of embeddings, by name. */
export async function listEmbeddings(db: Kysely<Tables>): Promise<EmbeddingSettings[]> {
  const rows = await db.selectFrom('kg_api.embedding_config').selectAll().orderBy('provider').execute();
  return rows.map(settingsOf);
}

/** How many vectors are stored. */
export async function countEmbeddings(db: Kysely<Tables>): Promise<number> {
  const { all } = await db
    .selectFrom('kg_api.embeddings')
    .select((eb) => eb.fn.countAll<string>().as('all'))
    .executeTakeFirstOrThrow();
  return Number(all);
}

/** How many vectors are stored that these settings could not be compared with. */
export async function countUnfit(
  db: Kysely<Tables>,
  { provider, model, dimensions }: Pick<EmbeddingSettings, 'provider' | 'model' | 'dimensions'>,
): Promise<number> {
  const { unfit } = await db
    .selectFrom('kg_api.embeddings')
    .select((eb) => eb.fn.countAll<string>().as('unfit'))
    .where((eb) =>
      eb.or([
        eb('provider', '<>', provider),
        eb('model', '<>', model),
        eb(eb.fn<number>('cardinality', ['embedding']), '<>', dimensions),
      ]),
    )
    .executeTakeFirstOrThrow();
  return Number(unfit);
}

async function discardUnfit(
  trx: Transaction<Tables>,
  wanted: Omit<EmbeddingSettings, 'active'>,
  mayDiscard: boolean,
): Promise<number> {
  const unfit = await countUnfit(trx, wanted);
  if (unfit === 0) return 0;
  if (!mayDiscard)
    throw new OperatorError(
      'EMBEDDINGS_EXIST',
      `${unfit} stored ${unfit === 1 ? 'embedding was' : 'embeddings were'} not made by ${wanted.provider} ${wanted.model} with ${wanted.dimensions} dimensions`,
      {
        exitCode: EXIT.precondition,
        details: [
          'vectors of different models or lengths can not be compared, and search would not find them',
        ],
        hint: 'add --discard-embeddings to delete them for good; the texts they were made of stay',
      },
    );
  await trx
    .deleteFrom('kg_api.embeddings')
    .where((eb) =>
      eb.or([
        eb('provider', '<>', wanted.provider),
        eb('model', '<>', wanted.model),
        eb(eb.fn<number>('cardinality', ['embedding']), '<>', wanted.dimensions),
      ]),
    )
    .execute();
  return unfit;
}

function settingsOf(row: Selectable<Tables['kg_api.embedding_config']>): EmbeddingSettings {
  const { provider, model, dimensions, base_url, precision, active } = row;
  return { provider, model, dimensions, baseUrl: base_url, precision, active };
}
