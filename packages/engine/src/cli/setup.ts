import {
  AI_PROVIDERS,
  type AiProvider,
  EMBEDDING_PROVIDERS,
  type EmbeddingProvider,
} from '@kg-operator/config';
import { Flags } from '@oclif/core';
import { checkPassword, checkUsername } from '../config/admin.ts';
import { checkBaseUrl } from '../config/ai-provider.ts';
import { checkApiKey } from '../config/api-key.ts';
import { type GivenSecret, givenSecret } from './secret-input.ts';

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
  password: GivenSecret | null;
  aiProvider: AiProvider | null;
  aiModel: string | null;
  aiBaseUrl: string | null;
  aiKey: GivenSecret | null;
  embedding: EmbeddingProvider | null;
}

export interface SetupFlagValues {
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
  if (password) checkPassword(password.secret, flags['admin-username']);
  if (aiKey) checkApiKey(aiKey.secret);
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
