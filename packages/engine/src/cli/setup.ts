import {
  AI_PROVIDER_FACTS,
  AI_PROVIDERS,
  type AiProvider,
  type ConfigState,
  EMBEDDING_PROVIDERS,
  type EmbeddingProvider,
  type Secret,
  type Tables,
} from '@kg-operator/config';
import { Flags } from '@oclif/core';
import type { Kysely } from 'kysely';
import { checkPassword, checkUsername, setUser } from '../config/admin.ts';
import { checkBaseUrl, setAiProvider } from '../config/ai-provider.ts';
import { checkApiKey, setApiKey } from '../config/api-key.ts';
import { setEmbedding } from '../config/embedding.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { askChoice, askNewSecret, askSecret, askText, asValidation } from './prompts.ts';
import { givenSecret } from './secret-input.ts';

/** The flags of `up` that answer what it would ask. */
export const setupFlags = {
  'admin-username': Flags.string({
    description: 'admin user name',
    default: 'admin',
    env: 'KG_ADMIN_USERNAME',
  }),
  'admin-password-file': Flags.string({
    description: 'file that holds the admin password (or KG_ADMIN_PASSWORD)',
    helpValue: 'FILE',
  }),
  'ai-provider': Flags.string({
    description: 'extraction provider',
    options: [...AI_PROVIDERS],
    env: 'KG_AI_PROVIDER',
  }),
  'ai-model': Flags.string({ description: 'its model', env: 'KG_AI_MODEL' }),
  'ai-base-url': Flags.string({
    description: 'address of a compatible server',
    env: 'KG_AI_BASE_URL',
    helpValue: 'URL',
  }),
  'ai-key-file': Flags.string({
    description: 'file that holds the provider key (or KG_AI_API_KEY)',
    helpValue: 'FILE',
  }),
  embedding: Flags.string({
    description: 'embedding provider',
    options: [...EMBEDDING_PROVIDERS],
    env: 'KG_EMBEDDING',
  }),
};

/** What a person gave in advance; null where nothing was said. */
export interface Setup {
  username: string;
  password: Secret | null;
  aiProvider: AiProvider | null;
  aiModel: string | null;
  aiBaseUrl: string | null;
  aiKey: Secret | null;
  embedding: EmbeddingProvider | null;
}

interface SetupFlagValues {
  'admin-username': string;
  'admin-password-file': string | undefined;
  'ai-provider': string | undefined;
  'ai-model': string | undefined;
  'ai-base-url': string | undefined;
  'ai-key-file': string | undefined;
  embedding: string | undefined;
}

/** Reads and checks everything given, before anything is started. @throws OperatorError for the first invalid value */
export async function collectSetup(flags: SetupFlagValues): Promise<Setup> {
  const password = await givenSecret({
    what: 'admin password',
    variable: 'KG_ADMIN_PASSWORD',
    file: flags['admin-password-file'],
    fileFlag: '--admin-password-file',
  });
  const aiKey = await givenSecret({
    what: 'provider key',
    variable: 'KG_AI_API_KEY',
    file: flags['ai-key-file'],
    fileFlag: '--ai-key-file',
  });
  checkUsername(flags['admin-username']);
  if (password) checkPassword(password, flags['admin-username']);
  if (aiKey) checkApiKey(aiKey);
  if (flags['ai-base-url']) checkBaseUrl(flags['ai-base-url']);
  return {
    username: flags['admin-username'],
    password,
    aiProvider: (flags['ai-provider'] as AiProvider | undefined) ?? null,
    aiModel: flags['ai-model'] ?? null,
    aiBaseUrl: flags['ai-base-url'] ?? null,
    aiKey,
    embedding: (flags.embedding as EmbeddingProvider | undefined) ?? null,
  };
}

interface ApplyOptions {
  interactive: boolean;
  encryptionKey: Secret;
  say: (line: string) => void;
}

/**
 * Writes what configuration still lacks from what was given, asking on a terminal for the rest; what is configured already stays.
 * Returns the names of what it wrote.
 * @throws OperatorError INPUT_MISSING (exit 4) naming every flag and variable, before anything is written
 */
export async function applySetup(
  db: Kysely<Tables>,
  state: ConfigState,
  setup: Setup,
  options: ApplyOptions,
): Promise<string[]> {
  const lacks = (name: string) => state.items.some(({ item, ok }) => item === name && !ok);
  const needs = {
    admin: lacks('admin user'),
    ai: lacks('AI provider'),
    embedding: lacks('embedding provider'),
  };
  const keyItem = state.items.find(({ item, ok }) => item.endsWith(' API key') && !ok);
  if (!options.interactive) assertGiven(setup, needs, keyItem !== undefined);
  const actor = 'operator';
  const written: string[] = [];
  const wrote = (what: string) => {
    written.push(what);
    options.say(`Configured ${what}`);
  };

  if (needs.admin) {
    const password =
      setup.password ??
      (await askNewSecret(
        `Choose a password for ${setup.username}`,
        asValidation((given) => checkPassword(given, setup.username)),
      ));
    await setUser(db, { username: setup.username, password, actor });
    wrote('admin user');
  }
  if (needs.ai) {
    const provider =
      setup.aiProvider ?? (await askChoice('Which AI provider extracts concepts?', AI_PROVIDERS));
    if (provider === 'local') {
      await setAiProvider(db, { provider, actor });
      wrote('AI provider local');
    } else {
      const model = setup.aiModel ?? (await modelOf(provider));
      await setAiProvider(db, { provider, model, baseUrl: setup.aiBaseUrl, actor });
      wrote(`AI provider ${provider}`);
      await storeKey(provider);
    }
  } else if (keyItem) {
    await storeKey(keyItem.item.replace(/ API key$/, ''));
  }
  if (needs.embedding) {
    const provider =
      setup.embedding ?? (await askChoice('Which provider makes embeddings?', EMBEDDING_PROVIDERS));
    await setEmbedding(db, { provider, actor });
    wrote(`embedding provider ${provider}`);
  }
  return written;

  async function modelOf(provider: AiProvider): Promise<string> {
    const usual = AI_PROVIDER_FACTS[provider].model ?? '';
    return options.interactive ? askText('Model', usual) : usual;
  }

  async function storeKey(provider: string): Promise<void> {
    const key = setup.aiKey ?? (await askSecret(`API key for ${provider}`, asValidation(checkApiKey)));
    await setApiKey(db, { provider, key, encryptionKey: options.encryptionKey, actor });
    wrote(`${provider} API key`);
  }
}

function assertGiven(
  setup: Setup,
  needs: { admin: boolean; ai: boolean; embedding: boolean },
  needsKey: boolean,
): void {
  const missing: string[] = [];
  if (needs.admin && !setup.password)
    missing.push('admin password: set KG_ADMIN_PASSWORD, or --admin-password-file FILE');
  if (needs.ai && !setup.aiProvider)
    missing.push(`AI provider: --ai-provider ${AI_PROVIDERS.join('|')}, or set KG_AI_PROVIDER`);
  if (((needs.ai && setup.aiProvider !== 'local') || needsKey) && !setup.aiKey)
    missing.push('provider key: set KG_AI_API_KEY, or --ai-key-file FILE');
  if (needs.embedding && !setup.embedding)
    missing.push(`embedding provider: --embedding ${EMBEDDING_PROVIDERS.join('|')}, or set KG_EMBEDDING`);
  if (missing.length === 0) return;
  throw new OperatorError(
    'INPUT_MISSING',
    'configuration is incomplete, and there is no terminal to ask on',
    {
      exitCode: EXIT.configuration,
      details: missing,
      hint: 'give these and run ./operator.sh up again; what is up stays up',
    },
  );
}
