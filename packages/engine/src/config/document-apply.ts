import type { AiOptions, AiProvider, EmbeddingProvider, Secret, Tables } from '@kg-operator/config';
import type { Transaction } from 'kysely';
import { deleteUserIn, setUserDisabledIn, setUserIn, setUserRoleIn } from './admin.ts';
import { AI_OPTION_NAMES, deleteAiProviderIn, setAiProviderIn } from './ai-provider.ts';
import { deleteApiKeyIn, setApiKeyIn } from './api-key.ts';
import { type ConfigurationDocument, sourceOf } from './document.ts';
import type { ReferredSecret } from './document-secrets.ts';
import { type StoredConfiguration, secretKey } from './document-stored.ts';
import { deleteEmbeddingIn, setEmbeddingIn } from './embedding.ts';
import type { Actor } from './history.ts';
import { type SettingValue, setSettingIn, unsetSettingIn } from './settings.ts';

export interface ApplyInput extends Actor {
  document: ConfigurationDocument;
  stored: StoredConfiguration;
  /** Those that were found; the stored ones stay where there is none. */
  secrets: ReferredSecret[];
  encryptionKey: Secret;
  /** Removes what a section of the document does not name. */
  prune: boolean;
  /** Vectors that no longer fit may be deleted. */
  discardEmbeddings: boolean;
}

/**
 * Makes the rows what the document says, in a transaction of the caller's, through the functions that the single commands use. What is
 * that already is left alone and not recorded.
 * @throws OperatorError as those functions do: LAST_ADMIN, EMBEDDINGS_EXIST, KEY_NEEDED, PROVIDER_ACTIVE
 */
export async function applyDocument(trx: Transaction<Tables>, input: ApplyInput): Promise<void> {
  const secrets = new Map(input.secrets.map((referred) => [secretKey(referred.path), referred]));
  await applyUsers(trx, input, secrets);
  for (const provider of Object.keys(input.document.apiKeys ?? {})) {
    const { secret, reference } = secrets.get(secretKey(['apiKeys', provider])) ?? {};
    if (secret && reference)
      await setApiKeyIn(trx, {
        provider,
        key: secret,
        source: sourceOf(reference),
        encryptionKey: input.encryptionKey,
        actor: input.actor,
      });
  }
  await applyAi(trx, input);
  await applyEmbedding(trx, input);
  for (const [name, value] of Object.entries(input.document.settings ?? {}))
    await setSettingIn(trx, { name, value: value as SettingValue, actor: input.actor });
  if (input.prune) await prune(trx, input);
}

async function applyUsers(
  trx: Transaction<Tables>,
  { document, stored, actor }: ApplyInput,
  secrets: Map<string, ReferredSecret>,
): Promise<void> {
  const users = Object.entries(document.users ?? {});
  // Admins first: another one may then stop being the last.
  users.sort(([, a], [, b]) => Number(isAdmin(b)) - Number(isAdmin(a)));
  for (const [username, { role, disabled = false }] of users) {
    const { secret, reference } = secrets.get(secretKey(['users', username, 'password'])) ?? {};
    if (secret && reference)
      await setUserIn(trx, { username, role, password: secret, source: sourceOf(reference), actor });
    else await setUserRoleIn(trx, { username, role, actor });
    if (disabled !== (stored.document.users?.[username]?.disabled ?? false))
      await setUserDisabledIn(trx, { username, disabled, actor });
  }
}

function isAdmin({ role, disabled = false }: { role: string; disabled?: boolean }): boolean {
  return role === 'admin' && !disabled;
}

/** What an entry leaves out has its default: null says so to the functions. */
async function applyAi(trx: Transaction<Tables>, { document, actor }: ApplyInput): Promise<void> {
  const { active, providers = {} } = document.ai ?? {};
  for (const [name, { model, baseUrl, options }] of activeFirst(providers, active)) {
    const all = AI_OPTION_NAMES.map((option) => [option, options?.[option] ?? null]);
    await setAiProviderIn(trx, {
      provider: name as AiProvider,
      model: model ?? null,
      baseUrl: baseUrl ?? null,
      options: Object.fromEntries(all) as { [Name in keyof AiOptions]: number | null },
      activate: name === active,
      actor,
    });
  }
  if (active && !(active in providers)) await setAiProviderIn(trx, { provider: active, actor });
}

async function applyEmbedding(
  trx: Transaction<Tables>,
  { document, discardEmbeddings, actor }: ApplyInput,
): Promise<void> {
  const { active, providers = {} } = document.embedding ?? {};
  for (const [name, { model, dimensions, baseUrl, precision }] of activeFirst(providers, active)) {
    await setEmbeddingIn(trx, {
      provider: name as EmbeddingProvider,
      model: model ?? null,
      dimensions: dimensions ?? null,
      baseUrl: baseUrl ?? null,
      precision: precision ?? null,
      activate: name === active,
      discardEmbeddings,
      actor,
    });
  }
  if (active && !(active in providers))
    await setEmbeddingIn(trx, { provider: active, discardEmbeddings, actor });
}

/** So that the one before is not active any more when its own settings are written. */
function activeFirst<Entry>(
  providers: { [name: string]: Entry },
  active: string | undefined,
): [string, Entry][] {
  return Object.entries(providers).sort(([a], [b]) => Number(b === active) - Number(a === active));
}

async function prune(trx: Transaction<Tables>, { document, stored, actor }: ApplyInput): Promise<void> {
  const unnamed = (was: object | undefined, is: object | undefined): string[] =>
    is === undefined ? [] : Object.keys(was ?? {}).filter((name) => !Object.hasOwn(is, name));
  const before = stored.document;
  for (const username of unnamed(before.users, document.users)) await deleteUserIn(trx, { username, actor });
  for (const provider of unnamed(before.ai?.providers, document.ai?.providers))
    await deleteAiProviderIn(trx, { provider: provider as AiProvider, actor });
  for (const provider of unnamed(before.embedding?.providers, document.embedding?.providers))
    await deleteEmbeddingIn(trx, { provider: provider as EmbeddingProvider, actor });
  for (const provider of unnamed(before.apiKeys, document.apiKeys))
    await deleteApiKeyIn(trx, { provider: provider as AiProvider, evenIfNeeded: false, actor });
  for (const name of unnamed(before.settings, document.settings)) await unsetSettingIn(trx, { name, actor });
}
