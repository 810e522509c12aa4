import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  type AiProvider,
  keyIdOf,
  loadConfig,
  readConfigState,
  Secret,
  verifyPassword,
} from '@kg-operator/config';
import { applySetup } from '../../src/cli/apply-setup.ts';
import { setUser } from '../../src/config/admin.ts';
import { setAiProvider } from '../../src/config/ai-provider.ts';
import { setApiKey } from '../../src/config/api-key.ts';
import { setEmbedding } from '../../src/config/embedding.ts';
import { configureFileStore } from '../../src/config/file-store.ts';
import { ensureFingerprint } from '../../src/config/fingerprint.ts';
import { configureObjectStore } from '../../src/config/garage.ts';
import { type EmbeddedDatabase, migratedDatabase } from '../embedded-database.ts';
import { fakeGarage } from '../fake-garage.ts';

const encryptionKey = new Secret('a1'.repeat(32));
const otherKey = new Secret('b2'.repeat(32));
const actor = 'tester';
const endpoint = 'http://garage:3900';

describe('configuration', () => {
  let database: EmbeddedDatabase;
  beforeAll(async () => {
    database = await migratedDatabase();
  });
  afterAll(() => database.close());
  beforeEach(async () => {
    await database.session.query(
      `TRUNCATE kg_api.users, kg_api.ai_provider_config, kg_api.embedding_config, kg_api.system_api_keys,
                kg_api.platform_settings, kg_api.config_history, kg_api.key_fingerprint`,
    );
  });

  const history = () =>
    database.db
      .selectFrom('kg_api.config_history')
      .select(['actor', 'topic', 'action', 'subject', 'before', 'after'])
      .orderBy('id')
      .execute();

  async function configureAll() {
    const { db } = database;
    await setUser(db, { username: 'admin', password: new Secret('correct horse battery'), actor });
    await setAiProvider(db, { provider: 'openai', model: 'm', baseUrl: null, actor });
    await setApiKey(db, { provider: 'openai', key: new Secret('sk-test-1'), encryptionKey, actor });
    await setEmbedding(db, { provider: 'local', model: 'e', dimensions: 768, actor });
    await configureObjectStore(db, fakeGarage().admin, { encryptionKey, endpoint, actor });
  }

  test('an empty database names every missing item with its command', async () => {
    const failure = await loadConfig(database.db, encryptionKey).catch((error) => error);
    expect(failure.name).toBe('ConfigurationIncomplete');
    expect(failure.missing).toEqual([
      { item: 'admin user', command: './operator.sh config admin' },
      { item: 'AI provider', command: './operator.sh config ai-provider openai' },
      { item: 'embedding provider', command: './operator.sh config embedding local' },
      { item: 'object storage', command: './operator.sh config garage' },
    ]);
  });

  test('what is written is what loadConfig decrypts', async () => {
    await configureAll();
    const config = await loadConfig(database.db, encryptionKey);
    expect(config.ai.apiKey?.reveal()).toBe('sk-test-1');
    expect(config.embedding).toMatchObject({ provider: 'local', model: 'e', dimensions: 768 });
    expect(config.objectStore).toMatchObject({
      endpoint,
      bucket: 'kg-documents',
      accessKeyId: expect.stringMatching(/^GK[0-9a-f]{24}$/),
    });
    expect(config.objectStore.secretAccessKey?.reveal()).toMatch(/^[0-9a-f]{64}$/);
  });

  test('the same again changes nothing and writes no history', async () => {
    await configureAll();
    const before = await history();
    const { db } = database;
    expect(
      await setUser(db, { username: 'admin', password: new Secret('correct horse battery'), actor }),
    ).toEqual({ changed: false });
    expect(await setAiProvider(db, { provider: 'openai', model: 'm', baseUrl: null, actor })).toMatchObject({
      changed: false,
    });
    expect(
      await setApiKey(db, { provider: 'openai', key: new Secret('sk-test-1'), encryptionKey, actor }),
    ).toEqual({ changed: false });
    expect(await setEmbedding(db, { provider: 'local', model: 'e', dimensions: 768, actor })).toMatchObject({
      changed: false,
    });
    expect(await history()).toEqual(before);
  });

  test('a new provider replaces the active one, and its key is asked for', async () => {
    await configureAll();
    await setAiProvider(database.db, { provider: 'anthropic', model: 'n', baseUrl: null, actor });
    const active = await database.db
      .selectFrom('kg_api.ai_provider_config')
      .select('provider')
      .where('active', '=', true)
      .execute();
    expect(active).toEqual([{ provider: 'anthropic' }]);
    await expect(loadConfig(database.db, encryptionKey)).rejects.toMatchObject({
      missing: [{ item: 'anthropic API key', command: './operator.sh config api-key anthropic' }],
    });
  });

  test('local extraction is complete without a key', async () => {
    await configureAll();
    await setAiProvider(database.db, { provider: 'local', actor });
    expect((await loadConfig(database.db, encryptionKey)).ai).toMatchObject({
      provider: 'local',
      model: 'rules',
      baseUrl: null,
      apiKey: null,
    });
  });

  test('set up without a terminal: local wants no key, others do', async () => {
    const setup = {
      username: 'admin',
      password: { secret: new Secret('correct horse battery'), source: null },
      aiProvider: 'local' as AiProvider,
      aiModel: 'of another provider',
      aiBaseUrl: null,
      aiKey: null,
      embedding: 'local' as const,
    };
    const options = {
      interactive: false,
      claim: false,
      encryptionKey,
      host: 'localhost' as const,
      actor,
      say: () => undefined,
      fetch,
    };
    const state = await readConfigState(database.db);
    await expect(
      applySetup(database.db, state, { ...setup, aiProvider: 'openai' }, options),
    ).rejects.toMatchObject({ exitCode: 4, details: [expect.stringContaining('KG_AI_API_KEY')] });
    expect(await applySetup(database.db, state, setup, options)).toEqual([
      'admin user',
      'AI provider local',
      'embedding provider local',
    ]);
  });

  test('a new password replaces the old one', async () => {
    const { db } = database;
    await setUser(db, { username: 'admin', password: new Secret('the first password'), actor });
    await setUser(db, { username: 'admin', password: new Secret('the second password'), actor });
    const { password_hash } = await db
      .selectFrom('kg_api.users')
      .select('password_hash')
      .executeTakeFirstOrThrow();
    expect(await verifyPassword(password_hash, 'the second password')).toBe(true);
    expect(await verifyPassword(password_hash, 'the first password')).toBe(false);
  });

  test('no secret is in the history or in any other row', async () => {
    await configureAll();
    const config = await loadConfig(database.db, encryptionKey);
    const secrets = [
      'correct horse battery',
      'sk-test-1',
      config.objectStore.secretAccessKey?.reveal() ?? '',
      encryptionKey.reveal(),
    ];
    const rows = await database.session.query<{ text: string }>(
      `SELECT concat(h::text) AS text FROM kg_api.config_history h UNION ALL SELECT s::text FROM kg_api.platform_settings s
       UNION ALL SELECT k::text FROM kg_api.system_api_keys k UNION ALL SELECT u::text FROM kg_api.users u`,
    );
    expect(rows.length).toBeGreaterThan(5);
    for (const { text } of rows) {
      for (const secret of secrets) expect(text).not.toContain(secret);
    }
  });

  test('another encryption key is refused before anything is written', async () => {
    await configureAll();
    const before = await history();
    await expect(ensureFingerprint(database.db, otherKey)).rejects.toMatchObject({
      storedKeyId: keyIdOf(encryptionKey),
      givenKeyId: keyIdOf(otherKey),
    });
    await expect(
      setApiKey(database.db, { provider: 'openai', key: new Secret('sk-2'), encryptionKey: otherKey, actor }),
    ).rejects.toThrow(/belongs to this database/);
    await expect(loadConfig(database.db, otherKey)).rejects.toMatchObject({ name: 'WrongEncryptionKey' });
    expect(await history()).toEqual(before);
  });

  test('a ciphertext copied to another row does not open', async () => {
    await configureAll();
    await database.session.query(
      `UPDATE kg_api.system_api_keys SET ciphertext = (SELECT ciphertext FROM kg_api.system_api_keys WHERE provider = 'garage') WHERE provider = 'openai'`,
    );
    await expect(loadConfig(database.db, encryptionKey)).rejects.toMatchObject({
      name: 'CredentialUnreadable',
      row: 'openai',
    });
  });

  describe('object storage', () => {
    test('a second run changes nothing, in Garage or here', async () => {
      const garage = fakeGarage();
      const first = await configureObjectStore(database.db, garage.admin, { encryptionKey, endpoint, actor });
      const writes = garage.state.writes;
      const second = await configureObjectStore(database.db, garage.admin, {
        encryptionKey,
        endpoint,
        actor,
      });
      expect([first.changed, second.changed, garage.state.writes]).toEqual([true, false, writes]);
      expect(second).toEqual({ ...first, changed: false });
    });

    test('a lost Garage is given the same key again', async () => {
      const first = await configureObjectStore(database.db, fakeGarage().admin, {
        encryptionKey,
        endpoint,
        actor,
      });
      const lost = fakeGarage();
      const again = await configureObjectStore(database.db, lost.admin, { encryptionKey, endpoint, actor });
      expect(again.accessKeyId).toBe(first.accessKeyId);
      const { objectStore } = await loadConfigOfStore();
      expect(lost.state.keys.get(first.accessKeyId)?.secret).toBe(objectStore);
    });

    test.each([
      'clusterStatus',
      'assignNode',
      'findKey',
      'importKey',
      'findBucket',
      'createBucket',
      'allowKey',
    ] as const)(
      'cut off at %s, before or after it took effect, a second run completes it',
      async (failAt) => {
        for (const when of ['before', 'after'] as const) {
          const garage = fakeGarage({ failAt, when });
          await expect(
            configureObjectStore(database.db, garage.admin, { encryptionKey, endpoint, actor }),
          ).rejects.toThrow(failAt);
          const { accessKeyId, bucket } = await configureObjectStore(database.db, garage.admin, {
            encryptionKey,
            endpoint,
            actor,
          });
          expect([...(garage.state.buckets.get(bucket) ?? [])]).toEqual([accessKeyId]);
          expect([...garage.state.keys.keys()]).toEqual([accessKeyId]);
        }
      },
    );

    async function loadConfigOfStore() {
      const { openCredential } = await import('@kg-operator/config');
      const row = await database.db
        .selectFrom('kg_api.system_api_keys')
        .select('ciphertext')
        .where('provider', '=', 'garage')
        .executeTakeFirstOrThrow();
      return { objectStore: await openCredential(encryptionKey, 'garage', row.ciphertext) };
    }
  });

  describe('files or Garage', () => {
    const garage = () =>
      configureObjectStore(database.db, fakeGarage().admin, { encryptionKey, endpoint, actor });
    const files = () => configureFileStore(database.db, { actor });
    const storedEndpoint = async () => {
      const row = await database.db
        .selectFrom('kg_api.platform_settings')
        .select('value')
        .executeTakeFirstOrThrow();
      return (row.value as unknown as { endpoint: string }).endpoint;
    };

    test('without documents one replaces the other', async () => {
      await files();
      expect(await garage()).toMatchObject({
        changed: true,
        endpoint,
        bucket: 'kg-documents',
        accessKeyId: expect.stringMatching(/^GK/),
      });
      await files();
      expect(await storedEndpoint()).toBe('file:objects');
    });

    test('documents are not left behind in either', async () => {
      const document = {
        title: 't',
        object_key: 'k',
        bytes: 1,
        sha256: 'a'.repeat(64),
        created_by: 'tester',
      };
      for (const [first, second] of [
        [files, garage],
        [garage, files],
      ] as const) {
        await first();
        const before = await storedEndpoint();
        await database.db.insertInto('kg_api.documents').values(document).execute();
        await expect(second()).rejects.toMatchObject({ code: 'STORE_IN_USE', exitCode: 3 });
        expect(await storedEndpoint()).toBe(before);
        await database.db.deleteFrom('kg_api.documents').execute();
      }
    });
  });
});
