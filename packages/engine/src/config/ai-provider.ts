import type { AiProvider, Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type Actor, type Change, recordChange } from './history.ts';

/** Used where no model is named: the provider's small, cheap general model. */
export const DEFAULT_AI_MODEL: Record<AiProvider, string> = {
  openai: 'gpt-5-mini',
  anthropic: 'claude-haiku-4-5',
  local: 'rules',
};

export interface AiProviderInput extends Actor {
  provider: AiProvider;
  model: string;
  /** Null: the provider's own address. */
  baseUrl: string | null;
}

/** @throws OperatorError URL_INVALID for anything but an http(s) address without user name or password. */
export function checkBaseUrl(baseUrl: string): void {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : null;
  if (url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return;
  throw new OperatorError('URL_INVALID', 'the base URL is not an http(s) address, or it holds a user name', {
    exitCode: EXIT.usage,
    hint: 'write it like https://llm.example.org/v1',
  });
}

/** Makes this the one active extraction provider. The same settings again change nothing. */
export async function setAiProvider(db: Kysely<Tables>, input: AiProviderInput): Promise<Change> {
  if (input.baseUrl !== null) checkBaseUrl(input.baseUrl);
  const row = { provider: input.provider, model: input.model, base_url: input.baseUrl };
  return db.transaction().execute(async (trx) => {
    const active = await trx
      .selectFrom('kg_api.ai_provider_config')
      .selectAll()
      .where('active', '=', true)
      .forUpdate()
      .executeTakeFirst();
    if (
      active &&
      active.provider === row.provider &&
      active.model === row.model &&
      active.base_url === row.base_url
    )
      return { changed: false };
    await trx
      .updateTable('kg_api.ai_provider_config')
      .set({ active: false })
      .where('active', '=', true)
      .execute();
    await trx
      .insertInto('kg_api.ai_provider_config')
      .values({ ...row, active: true })
      .execute();
    await recordChange(trx, input, 'activate', 'AI provider', row);
    return { changed: true };
  });
}
