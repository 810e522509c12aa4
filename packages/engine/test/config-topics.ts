import { Secret, type Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { setUser } from '../src/config/admin.ts';
import { setAiProvider } from '../src/config/ai-provider.ts';
import { setApiKey } from '../src/config/api-key.ts';
import { setSetting } from '../src/config/settings.ts';

/** One run of a command. */
export interface Run {
  args: string[];
  env?: Record<string, string>;
}

export interface Recorded {
  topic: string;
  action: string;
  subject: string;
}

/** What a writing topic does in each of the six situations. */
export interface Topic {
  name: string;
  given?: (db: Kysely<Tables>) => Promise<unknown>;
  fresh: Run & { recorded: Recorded[]; data: Record<string, unknown> };
  /** The same again: nothing, or a refusal. */
  repeat: 'unchanged' | { code: string; exitCode: number } | { recorded: Recorded[] };
  change: Run & { recorded: Recorded[] };
  invalid: Run & { code: string; exitCode: number };
  /** Two at once, and with which exit codes they may end, in rising order. */
  concurrent: { runs: [Run, Run]; exitCodes: number[][] };
}

export const ENCRYPTION_KEY = new Secret('a1'.repeat(32));
const actor = 'os:before';
const password = (text: string) => new Secret(text);
/** What is given to the commands, and must not be found in anything they print. */
export const SECRETS = {
  first: 'the very first phrase',
  second: 'the next one after it',
  third: 'something else again',
  short: 'tooshort',
  key: 'sk-one-4f9a8b7c6d5e',
  otherKey: 'sk-two-0a1b2c3d4e5f',
  thirdKey: 'sk-three-99887766',
  wrongKey: 'b2'.repeat(32),
};

/** In the folder that the commands run in. */
export const FILES = {
  'one.yaml':
    'version: 1\nusers:\n  admin:\n    role: admin\n    password: {env: KG_ONE}\nsettings:\n  web.title: One\n',
  'two.yaml': 'version: 1\nsettings:\n  web.title: Two\n',
  'three.yaml': 'version: 1\nsettings:\n  web.title: Three\n',
  'wrong.yaml': 'version: 1\nsettings:\n  web.titel: Four\n  auth.token-lifetime: 1\n',
};

const run = (line: string, env: Record<string, string> = {}): Run => ({
  args: ['config', ...line.split(' ')],
  env,
});
const recorded = (topic: string, action: string, subject: string): Recorded[] => [{ topic, action, subject }];
const both = [[0, 0]];

const users = async (db: Kysely<Tables>) => {
  await setUser(db, { username: 'admin', password: password(SECRETS.first), actor });
  for (const username of ['ada', 'bob'])
    await setUser(db, { username, role: 'admin', password: password(SECRETS.first), actor });
};
const providers = async (db: Kysely<Tables>) => {
  await setAiProvider(db, { provider: 'ollama', model: 'llama3.1', actor });
  await setAiProvider(db, { provider: 'vllm', model: 'qwen3', actor });
  await setAiProvider(db, { provider: 'local', actor });
};
const keys = async (db: Kysely<Tables>) => {
  for (const provider of ['openai', 'openrouter', 'anthropic'])
    await setApiKey(db, { provider, key: new Secret(SECRETS.key), encryptionKey: ENCRYPTION_KEY, actor });
};
const settings = async (db: Kysely<Tables>) => {
  for (const name of ['graph.max-concepts', 'extraction.timeout', 'auth.login-attempts'])
    await setSetting(db, { name, value: 77, actor });
};

export const TOPICS: Topic[] = [
  {
    name: 'admin',
    fresh: {
      ...run('admin', { KG_ADMIN_PASSWORD: SECRETS.first }),
      recorded: recorded('admin', 'create', 'admin'),
      data: { username: 'admin', role: 'admin', disabled: false },
    },
    repeat: 'unchanged',
    change: {
      ...run('admin --from-env MINE', { MINE: SECRETS.second }),
      recorded: recorded('admin', 'update', 'admin'),
    },
    invalid: {
      ...run('admin', { KG_ADMIN_PASSWORD: SECRETS.short }),
      code: 'PASSWORD_INVALID',
      exitCode: 2,
    },
    concurrent: {
      runs: [
        run('admin', { KG_ADMIN_PASSWORD: SECRETS.first }),
        run('admin', { KG_ADMIN_PASSWORD: SECRETS.third }),
      ],
      exitCodes: both,
    },
  },
  {
    name: 'admin --role',
    given: (db) => setUser(db, { username: 'admin', password: password(SECRETS.first), actor }),
    fresh: {
      ...run('admin --username ada --role user', { KG_ADMIN_PASSWORD: SECRETS.first }),
      recorded: recorded('admin', 'create', 'ada'),
      data: { username: 'ada', role: 'user' },
    },
    repeat: 'unchanged',
    change: {
      ...run('admin --username ada --role admin', { KG_ADMIN_PASSWORD: SECRETS.first }),
      recorded: recorded('admin', 'update', 'ada'),
    },
    invalid: {
      ...run('admin --username Ada', { KG_ADMIN_PASSWORD: SECRETS.first }),
      code: 'USERNAME_INVALID',
      exitCode: 2,
    },
    // Two admins, each to be demoted: one of them must stay.
    concurrent: {
      runs: [
        run('admin --username ada --role user', { KG_ADMIN_PASSWORD: SECRETS.first }),
        run('admin --username admin --role user', { KG_ADMIN_PASSWORD: SECRETS.first }),
      ],
      exitCodes: [[0, 3]],
    },
  },
  {
    name: 'admin disable',
    given: users,
    fresh: {
      ...run('admin disable ada'),
      recorded: recorded('admin', 'disable', 'ada'),
      data: { username: 'ada' },
    },
    repeat: 'unchanged',
    change: { ...run('admin enable ada'), recorded: recorded('admin', 'enable', 'ada') },
    invalid: { ...run('admin disable nobody'), code: 'USER_UNKNOWN', exitCode: 2 },
    concurrent: { runs: [run('admin disable ada'), run('admin disable bob')], exitCodes: both },
  },
  {
    name: 'admin delete',
    given: users,
    fresh: {
      ...run('admin delete ada --yes'),
      recorded: recorded('admin', 'delete', 'ada'),
      data: { username: 'ada' },
    },
    repeat: { code: 'USER_UNKNOWN', exitCode: 2 },
    change: {
      ...run('admin --username ada', { KG_ADMIN_PASSWORD: SECRETS.second }),
      recorded: recorded('admin', 'create', 'ada'),
    },
    invalid: { ...run('admin delete bob'), code: 'NOT_CONFIRMED', exitCode: 2 },
    concurrent: {
      runs: [run('admin delete bob --yes'), run('admin delete bob --yes')],
      exitCodes: [[0, 2]],
    },
  },
  {
    name: 'ai-provider',
    fresh: {
      ...run('ai-provider openai --model m-1 --temperature 0.5', { KG_AI_API_KEY: SECRETS.key }),
      recorded: [
        ...recorded('api-key', 'create', 'openai'),
        ...recorded('ai-provider', 'activate', 'openai'),
      ],
      data: {
        provider: 'openai',
        model: 'm-1',
        baseUrl: null,
        options: { temperature: 0.5 },
        active: true,
        keyStored: true,
        test: null,
      },
    },
    repeat: 'unchanged',
    change: {
      ...run('ai-provider openai --model m-2 --default temperature'),
      recorded: recorded('ai-provider', 'update', 'openai'),
    },
    invalid: { ...run('ai-provider openai --base-url ftp://x'), code: 'URL_INVALID', exitCode: 2 },
    concurrent: {
      runs: [run('ai-provider ollama --model a'), run('ai-provider vllm --model b')],
      exitCodes: both,
    },
  },
  {
    name: 'ai-provider delete',
    given: providers,
    fresh: {
      ...run('ai-provider delete ollama'),
      recorded: recorded('ai-provider', 'delete', 'ollama'),
      data: { provider: 'ollama' },
    },
    repeat: { code: 'PROVIDER_NOT_STORED', exitCode: 2 },
    change: {
      ...run('ai-provider ollama --model another'),
      recorded: recorded('ai-provider', 'activate', 'ollama'),
    },
    invalid: { ...run('ai-provider delete ollama'), code: 'PROVIDER_ACTIVE', exitCode: 3 },
    concurrent: {
      runs: [run('ai-provider delete vllm'), run('ai-provider vllm')],
      exitCodes: [
        [0, 2], // deleted first: there is no model any more
        [0, 3], // active first
      ],
    },
  },
  {
    name: 'embedding',
    fresh: {
      ...run('embedding openai --precision float16'),
      recorded: recorded('embedding', 'activate', 'openai'),
      data: {
        provider: 'openai',
        model: 'text-embedding-3-small',
        dimensions: 1536,
        precision: 'float16',
        active: true,
        discarded: 0,
      },
    },
    repeat: 'unchanged',
    change: {
      ...run('embedding openai --model text-embedding-3-large --dimensions 3072'),
      recorded: recorded('embedding', 'update', 'openai'),
    },
    invalid: { ...run('embedding openai --model unheard-of'), code: 'DIMENSIONS_MISSING', exitCode: 2 },
    concurrent: { runs: [run('embedding local'), run('embedding ollama')], exitCodes: both },
  },
  {
    name: 'api-key',
    fresh: {
      ...run('api-key openai', { KG_AI_API_KEY: SECRETS.key }),
      recorded: recorded('api-key', 'create', 'openai'),
      data: { provider: 'openai', test: null },
    },
    repeat: 'unchanged',
    change: {
      ...run('api-key openai --from-env MINE', { MINE: SECRETS.otherKey }),
      recorded: recorded('api-key', 'update', 'openai'),
    },
    invalid: {
      ...run('api-key openai', { KG_AI_API_KEY: 'two words' }),
      code: 'API_KEY_INVALID',
      exitCode: 2,
    },
    concurrent: {
      runs: [
        run('api-key openai', { KG_AI_API_KEY: SECRETS.key }),
        run('api-key openai', { KG_AI_API_KEY: SECRETS.thirdKey }),
      ],
      exitCodes: both,
    },
  },
  {
    name: 'api-key delete',
    given: keys,
    fresh: {
      ...run('api-key delete openai'),
      recorded: recorded('api-key', 'delete', 'openai'),
      data: { provider: 'openai' },
    },
    repeat: { code: 'KEY_UNKNOWN', exitCode: 2 },
    change: { ...run('api-key delete openrouter'), recorded: recorded('api-key', 'delete', 'openrouter') },
    invalid: { ...run('api-key delete nosuch'), code: 'USAGE', exitCode: 2 },
    concurrent: {
      runs: [run('api-key delete anthropic'), run('api-key delete anthropic')],
      exitCodes: [[0, 2]],
    },
  },
  {
    name: 'set',
    fresh: {
      ...run('set auth.token-lifetime 600'),
      recorded: recorded('setting', 'create', 'auth.token-lifetime'),
      data: { name: 'auth.token-lifetime', value: 600 },
    },
    repeat: 'unchanged',
    change: {
      ...run('set auth.token-lifetime 1200'),
      recorded: recorded('setting', 'update', 'auth.token-lifetime'),
    },
    invalid: { ...run('set auth.token-lifetime 1'), code: 'SETTING_INVALID', exitCode: 2 },
    concurrent: {
      runs: [run('set auth.token-lifetime 700'), run('set auth.token-lifetime 800')],
      exitCodes: both,
    },
  },
  {
    name: 'unset',
    given: settings,
    fresh: {
      ...run('unset extraction.timeout'),
      recorded: recorded('setting', 'delete', 'extraction.timeout'),
      data: { name: 'extraction.timeout', value: 120 },
    },
    repeat: 'unchanged',
    change: {
      ...run('unset graph.max-concepts'),
      recorded: recorded('setting', 'delete', 'graph.max-concepts'),
    },
    invalid: { ...run('unset no.such'), code: 'SETTING_UNKNOWN', exitCode: 2 },
    concurrent: {
      runs: [run('unset auth.login-attempts'), run('set auth.login-attempts 5')],
      exitCodes: both,
    },
  },
  {
    name: 'undo',
    given: settings,
    fresh: {
      ...run('undo --yes'),
      recorded: recorded('setting', 'undo', 'auth.login-attempts'),
      data: { undone: { entries: [{ subject: 'auth.login-attempts' }] } },
    },
    repeat: { recorded: recorded('setting', 'undo', 'auth.login-attempts') },
    change: {
      ...run('ai-provider local'),
      recorded: recorded('ai-provider', 'activate', 'local'),
    },
    invalid: { ...run('undo'), code: 'NOT_CONFIRMED', exitCode: 2 },
    // The later one sees what the earlier one did, or is told that it did not ask for that.
    concurrent: {
      runs: [run('undo --yes'), run('undo --yes')],
      exitCodes: [
        [0, 0],
        [0, 3],
      ],
    },
  },
  {
    name: 'garage, as files',
    fresh: {
      ...run('garage'),
      recorded: recorded('garage', 'create', 'object storage'),
      data: { bucket: 'documents', endpoint: 'file:objects' },
    },
    repeat: 'unchanged',
    change: { ...run('set web.title Beside'), recorded: recorded('setting', 'create', 'web.title') },
    invalid: { ...run('garage --no-such-flag'), code: 'USAGE', exitCode: 2 },
    concurrent: { runs: [run('garage'), run('garage')], exitCodes: both },
  },
  {
    name: 'import',
    fresh: {
      ...run('import one.yaml', { KG_ONE: SECRETS.first }),
      recorded: [...recorded('admin', 'create', 'admin'), ...recorded('setting', 'create', 'web.title')],
      data: { file: 'one.yaml', dryRun: false },
    },
    repeat: 'unchanged',
    change: { ...run('import two.yaml'), recorded: recorded('setting', 'update', 'web.title') },
    invalid: { ...run('import wrong.yaml'), code: 'FILE_INVALID', exitCode: 4 },
    concurrent: {
      runs: [run('import one.yaml', { KG_ONE: SECRETS.second }), run('import three.yaml')],
      exitCodes: both,
    },
  },
];

/** What the commands that only look do, with the right key and with another. */
export const LOOKS: { line: string; data: Record<string, unknown>; withWrongKey: number }[] = [
  { line: 'show', data: { ready: false, apiKeys: [{}, {}, {}] }, withWrongKey: 0 },
  { line: 'get', data: {}, withWrongKey: 0 },
  { line: 'get extraction.timeout', data: { value: 77, default: 120, isSet: true }, withWrongKey: 0 },
  { line: 'history --topic setting --limit 2', data: { changes: [{}, {}] }, withWrongKey: 0 },
  { line: 'admin list', data: { users: [{ username: 'ada' }, {}, {}] }, withWrongKey: 0 },
  { line: 'ai-provider list', data: { providers: [{}, {}, {}] }, withWrongKey: 0 },
  { line: 'embedding list', data: { providers: [], embeddings: 0 }, withWrongKey: 0 },
  { line: 'api-key list', data: { keys: [{ opens: true }, {}, {}] }, withWrongKey: 4 },
];

/** All of it, but an embedding provider and an object store. */
export async function giveEverything(db: Kysely<Tables>): Promise<void> {
  for (const give of [users, providers, keys, settings]) await give(db);
}
