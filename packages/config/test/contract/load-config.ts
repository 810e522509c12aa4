import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import {
  type AiProvider,
  keyIdOf,
  loadConfig,
  openDatabase,
  openEveryCredential,
  PREVIOUS_SIGNING_KEY,
  poolConfig,
  readConfigState,
  Secret,
  type Tables,
} from '../../src/index.ts';
import { applyMigrations, clear, configure, KEY, storeCredential, type TestDatabase } from './database.ts';

/** What loadConfig() and its like do on a database, embedded or not. */
export function loadConfigContract(name: string, open: () => Promise<TestDatabase>): void {
  describe(`loadConfig, ${name}`, () => {
    let database: TestDatabase;
    let db: Kysely<Tables>;
    beforeAll(async () => {
      database = await open();
      await applyMigrations(database.settings);
      db = openDatabase(database.settings);
    });
    afterAll(async () => {
      await db.destroy();
      await database.close();
    });
    beforeEach(async () => {
      await clear(db);
      await configure(db);
    });

    const useAi = async (provider: AiProvider, base_url: string | null = null) => {
      await db.updateTable('kg_api.ai_provider_config').set({ active: false }).execute();
      await db.deleteFrom('kg_api.ai_provider_config').where('provider', '=', provider).execute();
      await db
        .insertInto('kg_api.ai_provider_config')
        .values({ provider, model: 'm', base_url, active: true })
        .execute();
    };
    const failure = async (key = KEY) => {
      const error: unknown = await loadConfig(db, key).catch((error: unknown) => error);
      if (!(error instanceof Error)) throw new Error('it did not fail');
      return error;
    };

    test('the whole configuration, by one statement', async () => {
      const statements: string[] = [];
      const counting = new Kysely<Tables>({
        dialect: new PostgresDialect({ pool: new pg.Pool(poolConfig(database.settings)) }),
        log: ({ query }) => void statements.push(query.sql),
      });
      const config = await loadConfig(counting, KEY);
      await counting.destroy();
      expect(statements).toHaveLength(1);
      const { version } = await db
        .selectFrom('kg_api.config_version')
        .select('version')
        .executeTakeFirstOrThrow();
      expect(config).toEqual({
        version,
        ai: {
          provider: 'openai',
          protocol: 'openai',
          model: 'gpt-5-mini',
          baseUrl: 'https://api.openai.com/v1',
          apiKey: expect.any(Secret),
          options: { temperature: 0.5, maxTokens: 100 },
        },
        embedding: {
          provider: 'local',
          model: 'nomic',
          dimensions: 768,
          baseUrl: null,
          precision: 'float16',
          apiKey: null,
        },
        objectStore: {
          endpoint: 'http://garage:3900',
          region: 'garage',
          bucket: 'documents',
          accessKeyId: 'GK1',
          secretAccessKey: expect.any(Secret),
        },
        settings: {
          'auth.token-lifetime': 600,
          'auth.login-attempts': 10,
          'documents.max-bytes': 1_000_000,
          'extraction.timeout': 120,
          'graph.max-concepts': 500,
          'web.title': 'Knowledge graph',
        },
        users: [
          {
            username: 'admin',
            role: 'admin',
            disabled: false,
            passwordSetAt: new Date('2026-01-02T03:04:05Z'),
          },
          {
            username: 'gone',
            role: 'user',
            disabled: true,
            passwordSetAt: new Date('2026-01-02T03:04:05.678Z'),
          },
        ],
        previousSigningKey: null,
      });
      expect(config.ai.apiKey?.reveal()).toBe('sk-openai');
      expect(config.objectStore.secretAccessKey?.reveal()).toBe('garage-secret');
      expect(JSON.stringify(config)).not.toMatch(/sk-openai|garage-secret/);
    });

    test('what is missing is named with its command, all at once', async () => {
      await clear(db);
      const error = await failure();
      expect(error).toMatchObject({
        name: 'ConfigurationIncomplete',
        missing: [
          { item: 'admin user', command: './operator.sh config admin' },
          { item: 'AI provider', command: './operator.sh config ai-provider openai' },
          { item: 'embedding provider', command: './operator.sh config embedding local' },
          { item: 'object storage', command: './operator.sh config garage' },
        ],
      });
      expect((await readConfigState(db)).keyId).toBeNull();
    });

    test.each([
      ['openai', [{ item: 'openai API key', command: './operator.sh config api-key openai' }]],
      ['anthropic', [{ item: 'anthropic API key', command: './operator.sh config api-key anthropic' }]],
      ['openrouter', [{ item: 'openrouter API key', command: './operator.sh config api-key openrouter' }]],
      ['ollama', []],
      ['vllm', []],
      ['llama-cpp', []],
      ['local', []],
      [
        'openai-compatible',
        [
          {
            item: 'openai-compatible base URL',
            command: './operator.sh config ai-provider openai-compatible --base-url URL',
          },
        ],
      ],
    ] as const)('without a key, %s lacks %j', async (provider, missing) => {
      await db.deleteFrom('kg_api.system_api_keys').where('provider', '=', 'openai').execute();
      await useAi(provider);
      const { items } = await readConfigState(db);
      expect(items.filter(({ ok }) => !ok).map(({ item, command }) => ({ item, command }))).toEqual(missing);
      if (missing.length > 0) expect(await failure()).toMatchObject({ missing });
      else expect((await loadConfig(db, KEY)).ai).toMatchObject({ provider, apiKey: null });
    });

    test('a key that is not needed is used when there is one', async () => {
      await useAi('vllm', 'http://gpu:8000/v1');
      await storeCredential(db, 'vllm', 'sk-vllm');
      const { ai } = await loadConfig(db, KEY);
      expect(ai).toMatchObject({ provider: 'vllm', protocol: 'openai', baseUrl: 'http://gpu:8000/v1' });
      expect(ai.apiKey?.reveal()).toBe('sk-vllm');
    });

    test('a server of one’s own is reached through the host from a container, and at localhost without', async () => {
      await useAi('ollama');
      await db
        .updateTable('kg_api.embedding_config')
        .set({ provider: 'ollama' })
        .where('active', '=', true)
        .execute();
      const inside = await loadConfig(db, KEY);
      const outside = await loadConfig(db, KEY, { host: 'localhost' });
      expect([inside.ai.baseUrl, inside.embedding.baseUrl]).toEqual([
        'http://host.docker.internal:11434/v1',
        'http://host.docker.internal:11434/v1',
      ]);
      expect([outside.ai.baseUrl, outside.embedding.baseUrl]).toEqual([
        'http://localhost:11434/v1',
        'http://localhost:11434/v1',
      ]);
      await useAi('ollama', 'http://host.docker.internal:9/v1');
      const set = await loadConfig(db, KEY, { host: 'localhost' });
      expect(set.ai.baseUrl).toBe('http://host.docker.internal:9/v1');
    });

    test('embeddings by openai want its key, whoever extracts', async () => {
      await useAi('local');
      await db.updateTable('kg_api.embedding_config').set({ provider: 'openai' }).execute();
      const { embedding } = await loadConfig(db, KEY);
      expect(embedding.baseUrl).toBe('https://api.openai.com/v1');
      expect(embedding.apiKey?.reveal()).toBe('sk-openai');
      await db.deleteFrom('kg_api.system_api_keys').where('provider', '=', 'openai').execute();
      expect(await failure()).toMatchObject({
        missing: [{ item: 'openai API key', command: './operator.sh config api-key openai' }],
      });
    });

    test('a disabled admin is none', async () => {
      await db.updateTable('kg_api.users').set({ disabled_at: new Date() }).execute();
      expect(await failure()).toMatchObject({
        missing: [{ item: 'admin user', command: './operator.sh config admin' }],
      });
    });

    test('files need no credentials', async () => {
      const value = JSON.stringify({
        endpoint: 'file:objects',
        region: 'local',
        bucket: 'd',
        accessKeyId: '',
      });
      await db
        .updateTable('kg_api.platform_settings')
        .set({ value })
        .where('key', '=', 'object_store')
        .execute();
      await db.deleteFrom('kg_api.system_api_keys').where('provider', '=', 'garage').execute();
      expect((await loadConfig(db, KEY)).objectStore).toMatchObject({
        endpoint: 'file:objects',
        secretAccessKey: null,
      });
    });

    test('the signing key before is there until it ends', async () => {
      const until = new Date(Date.now() + 60_000);
      await storeCredential(db, PREVIOUS_SIGNING_KEY, 'old-key', { expires_at: until });
      const config = await loadConfig(db, KEY);
      expect(config.previousSigningKey?.key.reveal()).toBe('old-key');
      expect(config.previousSigningKey?.until).toEqual(until);
      await storeCredential(db, PREVIOUS_SIGNING_KEY, 'old-key');
      expect((await loadConfig(db, KEY)).previousSigningKey?.until).toBeNull();
      await storeCredential(db, PREVIOUS_SIGNING_KEY, 'old-key', { expires_at: new Date(Date.now() - 1) });
      expect((await loadConfig(db, KEY)).previousSigningKey).toBeNull();
    });

    test('another ENCRYPTION_KEY is one sentence that names both keys and the way out', async () => {
      const other = new Secret('b2'.repeat(32));
      const error = await failure(other);
      expect(error.name).toBe('WrongEncryptionKey');
      expect(error.message).toBe(
        `ENCRYPTION_KEY is key ${keyIdOf(other)}, but this database's credentials are encrypted with key ${keyIdOf(KEY)}: restore the .env that belongs to this database`,
      );
      await expect(openEveryCredential(db, other)).rejects.toMatchObject({ name: 'WrongEncryptionKey' });
    });

    test('a ciphertext copied, cut or altered does not open, and its row is named', async () => {
      await storeCredential(db, 'anthropic', 'sk-anthropic');
      const read = async (provider: string) =>
        (
          await db
            .selectFrom('kg_api.system_api_keys')
            .select('ciphertext')
            .where('provider', '=', provider)
            .executeTakeFirstOrThrow()
        ).ciphertext;
      const write = (provider: string, ciphertext: Uint8Array) =>
        db
          .updateTable('kg_api.system_api_keys')
          .set({ ciphertext })
          .where('provider', '=', provider)
          .execute();
      await write('openai', await read('anthropic'));
      const whole = await read('garage');
      await write('garage', whole.subarray(0, -1));
      expect(await failure()).toMatchObject({ name: 'CredentialUnreadable', row: 'openai' });
      const reason = 'its bytes were altered, or it belongs to another row';
      expect(await openEveryCredential(db, KEY)).toEqual([
        { row: 'anthropic', ok: true, reason: null },
        { row: 'garage', ok: false, reason },
        { row: 'openai', ok: false, reason },
      ]);
      await write('garage', Buffer.concat([Buffer.from([2]), whole.subarray(1)]));
      expect((await openEveryCredential(db, KEY))[1]).toEqual({
        row: 'garage',
        ok: false,
        reason: 'unknown format version 2',
      });
    });

    test('a setting that is out of its range is named; one that is not known is passed over', async () => {
      await db.insertInto('kg_api.platform_settings').values({ key: 'of.tomorrow', value: '1' }).execute();
      expect((await loadConfig(db, KEY)).settings).not.toHaveProperty('of.tomorrow');
      await db
        .updateTable('kg_api.platform_settings')
        .set({ value: '"long"' })
        .where('key', '=', 'auth.token-lifetime')
        .execute();
      expect(await failure()).toMatchObject({ name: 'SettingInvalid', setting: 'auth.token-lifetime' });
    });

    test('the state counts what is stored', async () => {
      expect(await readConfigState(db)).toMatchObject({
        keyId: keyIdOf(KEY),
        previousKeyId: null,
        counts: { users: 2, aiProviders: 2, embeddingProviders: 1, apiKeys: 2, settings: 1 },
      });
    });

    test('every change raises the version, and nothing else does', async () => {
      const version = async () => BigInt((await readConfigState(db)).version);
      const before = await version();
      await db.updateTable('kg_api.users').set({ role: 'admin' }).execute();
      expect(await version()).toBe(before + 1n);
      await loadConfig(db, KEY);
      await openEveryCredential(db, KEY);
      expect(await version()).toBe(before + 1n);
    });
  });

  test(`a database without tables has no schema, and says so, ${name}`, async () => {
    const database = await open();
    const db = openDatabase(database.settings);
    try {
      await expect(loadConfig(db, KEY)).rejects.toMatchObject({ name: 'SchemaMissing' });
      await expect(readConfigState(db)).rejects.toThrow('run ./operator.sh migrate');
    } finally {
      await db.destroy();
      await database.close();
    }
  });
}
