import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { loadConfig, readConfigState, Secret } from '@kg-operator/config';
import fc from 'fast-check';
import { setUser } from '../../src/config/admin.ts';
import { setAiProvider } from '../../src/config/ai-provider.ts';
import { setApiKey } from '../../src/config/api-key.ts';
import { type ConfigurationDocument, toYaml } from '../../src/config/document.ts';
import { exportConfiguration } from '../../src/config/document-export.ts';
import { type ImportOptions, importConfiguration } from '../../src/config/document-import.ts';
import { parseConfiguration } from '../../src/config/document-parse.ts';
import { probeTargets } from '../../src/config/document-probe.ts';
import { resolveSecrets } from '../../src/config/document-secrets.ts';
import { setEmbedding } from '../../src/config/embedding.ts';
import { configureFileStore } from '../../src/config/file-store.ts';
import { configureObjectStore } from '../../src/config/garage.ts';
import { undo } from '../../src/config/undo.ts';
import { configurationDocuments } from '../configuration-documents.ts';
import { type EmbeddedDatabase, migratedDatabase } from '../embedded-database.ts';
import { fakeGarage } from '../fake-garage.ts';

const encryptionKey = new Secret('a1'.repeat(32));
const actor = 'os:tester';
const PASSWORD = 'correct-horse-battery-9';
const OTHER_PASSWORD = 'another-horse-battery-9';

const WHOLE = `version: 1
users:
  admin:
    role: admin
    password: {env: KG_ADMIN_PASSWORD}
  bob:
    role: user
    disabled: true
    password: {file: bob.txt}
ai:
  active: openai
  providers:
    local: {}
    openai:
      model: gpt-5-mini
      options:
        temperature: 0.2
embedding:
  active: local
  providers:
    local:
      model: nomic-embed-text-v1.5
      dimensions: 768
      precision: float32
    openai:
      model: text-embedding-3-small
      dimensions: 1536
      precision: float16
apiKeys:
  openai: {env: KG_OPENAI_API_KEY}
objectStore: garage
settings:
  auth.token-lifetime: 7200
  web.title: "My graph: a #1"
`;
const ENV = { KG_ADMIN_PASSWORD: PASSWORD, KG_OPENAI_API_KEY: 'sk-test-1' };

describe('config import and export', () => {
  let database: EmbeddedDatabase;
  let garage: ReturnType<typeof fakeGarage>;
  const root = mkdtempSync(join(tmpdir(), 'kg-import-'));
  writeFileSync(join(root, 'bob.txt'), `${OTHER_PASSWORD}\n`);

  beforeAll(async () => {
    database = await migratedDatabase();
  });
  afterAll(() => database.close());
  beforeEach(empty);

  async function empty(): Promise<void> {
    garage = fakeGarage();
    await database.session.query(
      `TRUNCATE kg_api.users, kg_api.ai_provider_config, kg_api.embedding_config, kg_api.system_api_keys, kg_api.platform_settings,
                kg_api.config_history, kg_api.config_undo, kg_api.key_fingerprint, kg_api.embeddings, kg_api.documents`,
    );
  }

  function options(changes: Partial<ImportOptions> & { env?: NodeJS.ProcessEnv } = {}): ImportOptions {
    const { env = ENV, ...rest } = changes;
    const { db } = database;
    return {
      actor,
      encryptionKey,
      places: { env, root, inContainer: true },
      dryRun: false,
      prune: false,
      discardEmbeddings: false,
      objectStores: {
        garage: () =>
          configureObjectStore(db, garage.admin, { encryptionKey, endpoint: 'http://garage:3900', actor }),
        files: () => configureFileStore(db, { actor }),
      },
      ...rest,
    };
  }
  const read = (text: string) => parseConfiguration(new TextEncoder().encode(text), 'kg.yaml');
  const load = (text: string, changes: Parameters<typeof options>[0] = {}) =>
    importConfiguration(database.db, read(text), options(changes));
  const save = async () => toYaml(await exportConfiguration(database.db));
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => null,
      (error) => error,
    );
  /** Everything there is, to see that nothing was changed. */
  const rows = () =>
    database.session.query(
      `SELECT (SELECT version FROM kg_api.config_version), (SELECT count(*) FROM kg_api.config_history),
              (SELECT json_agg(to_jsonb(u) ORDER BY u.id) FROM kg_api.users u), (SELECT json_agg(to_jsonb(k) ORDER BY provider) FROM kg_api.system_api_keys k)`,
    );
  const history = () =>
    database.session.query<{ topic: string; action: string; subject: string; change_id: string }>(
      'SELECT topic, action, subject, change_id FROM kg_api.config_history ORDER BY id',
    );

  test('one file makes an empty database complete, and export gives the same file back', async () => {
    const { changed, kept } = await load(WHOLE);
    expect({ changed, kept }).toEqual({ changed: true, kept: [] });
    expect(await save()).toBe(WHOLE);
    expect((await readConfigState(database.db)).items.filter(({ ok }) => !ok)).toEqual([]);
    const config = await loadConfig(database.db, encryptionKey);
    expect(config).toMatchObject({
      ai: { provider: 'openai', model: 'gpt-5-mini', options: { temperature: 0.2 } },
      embedding: { provider: 'local', dimensions: 768 },
      settings: { 'auth.token-lifetime': 7200, 'web.title': 'My graph: a #1', 'extraction.timeout': 120 },
    });
    expect(config.ai.apiKey?.reveal()).toBe('sk-test-1');
  });

  test('again it changes nothing: no row, no history, no new version', async () => {
    await load(WHOLE);
    const before = await rows();
    expect(await load(WHOLE)).toEqual({ changed: false, changes: [], kept: [] });
    expect(await rows()).toEqual(before);
    expect(await load(WHOLE, { prune: true })).toMatchObject({ changed: false });
    expect(await rows()).toEqual(before);
  });

  test('any document comes back as it is, and imported twice changes nothing', async () => {
    const documents = configurationDocuments().map((document) => withAdmin(inVariables(document)));
    await fc.assert(
      fc.asyncProperty(documents, async (document) => {
        await empty();
        const env = new Proxy({}, { get: () => PASSWORD }) as NodeJS.ProcessEnv;
        await load(toYaml(document), { env });
        const saved = await save();
        const before = await rows();
        expect(await load(saved, { env })).toMatchObject({ changed: false });
        expect(await load(toYaml(document), { env })).toMatchObject({ changed: false });
        expect(await rows()).toEqual(before);
        await empty();
        await load(saved, { env });
        expect(await save()).toBe(saved);
      }),
      { numRuns: process.env.KG_TEST_FULL ? 200 : 12 },
    );
  }, 600_000);

  test('several imports at once are one change', async () => {
    const results = await Promise.all(Array.from({ length: 5 }, () => load(WHOLE)));
    expect(results.filter(({ changed }) => changed)).toHaveLength(1);
    expect(await save()).toBe(WHOLE);
    expect(new Set((await history()).map((row) => row.change_id)).size).toBe(2); // the object store, and the rest
  });

  test('with another encryption key nothing is written', async () => {
    await load(WHOLE);
    const before = await rows();
    const other = WHOLE.replace('role: user', 'role: admin');
    await expect(load(other, { encryptionKey: new Secret('b2'.repeat(32)) })).rejects.toMatchObject({
      name: 'WrongEncryptionKey',
    });
    expect(await rows()).toEqual(before);
  });

  test('the changes are told, secrets by fingerprint', async () => {
    await load(WHOLE);
    const { changes } = await load(
      `version: 1
users: {admin: {role: admin, password: {env: KG_NEW}}, eve: {role: user, password: {env: KG_EVE}}}
ai: {active: local, providers: {openai: {model: gpt-5}}}
apiKeys: {openai: {env: KG_OPENAI_API_KEY}, vllm: {env: KG_EVE}}
settings: {web.title: Other}`,
      { env: { KG_NEW: PASSWORD, KG_EVE: OTHER_PASSWORD, KG_OPENAI_API_KEY: 'sk-test-2' } },
    );
    const print = expect.stringMatching(/^[0-9a-f]{16}$/);
    expect(changes).toEqual([
      {
        path: 'users.admin.password',
        action: 'change',
        before: { source: 'env:KG_ADMIN_PASSWORD', fingerprint: print },
        after: { source: 'env:KG_NEW', fingerprint: print },
      },
      { path: 'users.eve.role', action: 'add', before: null, after: 'user' },
      {
        path: 'users.eve.password',
        action: 'add',
        before: null,
        after: { source: 'env:KG_EVE', fingerprint: print },
      },
      { path: 'ai.active', action: 'change', before: 'openai', after: 'local' },
      { path: 'ai.providers.openai.model', action: 'change', before: 'gpt-5-mini', after: 'gpt-5' },
      { path: 'ai.providers.openai.options.temperature', action: 'remove', before: 0.2, after: null },
      {
        path: 'apiKeys.openai',
        action: 'change',
        before: { source: 'env:KG_OPENAI_API_KEY', fingerprint: print },
        after: { source: 'env:KG_OPENAI_API_KEY', fingerprint: print },
      },
      {
        path: 'apiKeys.vllm',
        action: 'add',
        before: null,
        after: { source: 'env:KG_EVE', fingerprint: print },
      },
      { path: 'settings.web.title', action: 'change', before: 'My graph: a #1', after: 'Other' },
    ]);
    const [password, key] = [changes[0], changes[6]] as {
      before: { fingerprint: string };
      after: { fingerprint: string };
    }[];
    expect(password?.after.fingerprint).toBe(password?.before.fingerprint);
    expect(key?.after.fingerprint).not.toBe(key?.before.fingerprint);
    expect(JSON.stringify(changes)).not.toMatch(/horse|sk-test/);
  });

  test('a dry run says the same and writes nothing', async () => {
    const empty = await rows();
    const rehearsed = await load(WHOLE, { dryRun: true });
    expect([rehearsed.changed, garage.state.writes, await rows()]).toEqual([true, 0, empty]);
    const done = await load(WHOLE);
    const shape = ({ changes }: typeof done) => changes.map(({ path, action }) => [path, action]);
    expect(shape(rehearsed)).toEqual(shape(done));
    expect((await load(WHOLE, { dryRun: true })).changed).toBe(false);
    await expect(load('version: 1\nusers: {admin: {role: user}}', { dryRun: true })).rejects.toMatchObject({
      code: 'LAST_ADMIN',
    });
  });

  test('one undo takes all of it back', async () => {
    await load(WHOLE);
    const before = await save();
    await load(
      `version: 1
users: {admin: {role: admin, disabled: false}, bob: {role: admin}}
ai: {active: vllm, providers: {vllm: {model: m}}}
embedding: {active: openai}
settings: {web.title: Other, extraction.timeout: 60}`,
    );
    expect(await save()).not.toBe(before);
    const changeIds = (await history()).map((row) => row.change_id);
    expect(new Set(changeIds.slice(-6)).size).toBe(1);
    await undo(database.db, { actor });
    expect(await save()).toBe(before);
  });

  test('what the file does not mention stays, and goes with --prune', async () => {
    await load(WHOLE);
    const partial = `version: 1
users: {admin: {role: admin}}
ai: {active: local, providers: {local: {}}}
embedding: {providers: {local: {model: nomic-embed-text-v1.5, dimensions: 768}}}
apiKeys: {}
settings: {web.title: Other}`;
    await load(partial);
    expect((await exportConfiguration(database.db)).users).toHaveProperty('bob');
    expect((await exportConfiguration(database.db)).apiKeys).toHaveProperty('openai');
    await load(partial, { prune: true });
    expect(await save()).toBe(`version: 1
users:
  admin:
    role: admin
    password: {env: KG_ADMIN_PASSWORD}
ai:
  active: local
  providers:
    local: {}
embedding:
  active: local
  providers:
    local:
      model: nomic-embed-text-v1.5
      dimensions: 768
      precision: float32
objectStore: garage
settings:
  web.title: Other
`);
    expect(
      (await history()).filter(({ action }) => action === 'delete').map(({ subject }) => subject),
    ).toEqual(['bob', 'openai', 'openai', 'openai', 'auth.token-lifetime']);
  });

  test('--prune takes away neither the last admin nor what is in use', async () => {
    await load(WHOLE);
    const before = await save();
    for (const [text, code] of [
      ['version: 1\nusers: {}', 'LAST_ADMIN'],
      ['version: 1\nusers: {bob: {role: user}}', 'LAST_ADMIN'],
      ['version: 1\nai: {providers: {local: {}}}', 'PROVIDER_ACTIVE'],
      ['version: 1\nembedding: {providers: {}}', 'PROVIDER_ACTIVE'],
      ['version: 1\napiKeys: {}', 'KEY_NEEDED'],
    ] as const)
      await expect(load(text, { prune: true })).rejects.toMatchObject({ name: 'OperatorError', code });
    expect(await save()).toBe(before);
  });

  test('another admin may take over in one file', async () => {
    await load(WHOLE);
    await load('version: 1\nusers: {admin: {role: user}, bob: {role: admin}}');
    expect((await exportConfiguration(database.db)).users).toMatchObject({
      admin: { role: 'user' },
      bob: { role: 'admin' },
    });
  });

  describe('references', () => {
    test('everything that is missing is named at once, and nothing is written', async () => {
      const before = await rows();
      const error = await failure(
        load(WHOLE.replace('bob.txt', 'eve.txt'), { env: { KG_ADMIN_PASSWORD: '' } }),
      );
      expect(error).toMatchObject({
        code: 'SECRET_UNRESOLVED',
        exitCode: 4,
        details: [
          'kg.yaml:5:15: users.admin.password: KG_ADMIN_PASSWORD is empty',
          'kg.yaml:9:15: users.bob.password: eve.txt is not there',
          'kg.yaml:30:11: apiKeys.openai: KG_OPENAI_API_KEY is not set',
        ],
        hint: expect.stringContaining('--from-env NAME'),
      });
      expect(await rows()).toEqual(before);
    });

    test('what is found and can not be such a secret is told without repeating it', async () => {
      const env = { KG_ADMIN_PASSWORD: 'short-horse', KG_OPENAI_API_KEY: 'sk test' };
      const error = await failure(load(WHOLE, { env }));
      expect(error).toMatchObject({ code: 'FILE_INVALID', exitCode: 4 });
      expect(error.details).toEqual([
        expect.stringMatching(
          /^kg\.yaml:5:15: users\.admin\.password: env KG_ADMIN_PASSWORD: the password has 11/,
        ),
        expect.stringMatching(
          /^kg\.yaml:30:11: apiKeys\.openai: env KG_OPENAI_API_KEY: the API key .* white space/,
        ),
      ]);
      expect(JSON.stringify(error)).not.toMatch(/horse|sk test/);
    });

    test('a secret that is stored under the same reference stays when it can not be looked up', async () => {
      await load(WHOLE);
      const before = await rows();
      expect(await load(WHOLE, { env: {} })).toEqual({
        changed: false,
        changes: [],
        kept: [
          { path: 'users.admin.password', reason: 'KG_ADMIN_PASSWORD is not set' },
          { path: 'apiKeys.openai', reason: 'KG_OPENAI_API_KEY is not set' },
        ],
      });
      expect(await rows()).toEqual(before);
      // Another reference means another secret.
      await expect(load(WHOLE.replace('KG_OPENAI', 'KG_OTHER'), { env: {} })).rejects.toMatchObject({
        details: ['kg.yaml:30:11: apiKeys.openai: KG_OTHER_API_KEY is not set'],
      });
    });

    test('what was typed in is exported by convention, and stays when that file is imported', async () => {
      const { db } = database;
      const password = new Secret(PASSWORD);
      for (const username of ['admin', 'a.b', 'a-b'])
        await setUser(db, { username, password, role: 'admin', actor });
      await setApiKey(db, { provider: 'openai-compatible', key: new Secret('sk-1'), encryptionKey, actor });
      await setAiProvider(db, { provider: 'local', actor });
      await setEmbedding(db, { provider: 'local', actor });
      const saved = await save();
      expect(saved).toContain('admin:\n    role: admin\n    password: {env: KG_ADMIN_PASSWORD}');
      expect(saved).toContain('a-b:\n    role: admin\n    password: {env: KG_A_B_PASSWORD}');
      expect(saved).toContain('a.b:\n    role: admin\n    password: {env: KG_A_B_PASSWORD_2}');
      expect(saved).toContain('openai-compatible: {env: KG_OPENAI_COMPATIBLE_API_KEY}');
      const before = await rows();
      const { changed, kept } = await load(saved, { env: {} });
      expect([changed, kept.length, await rows()]).toEqual([false, 4, before]);
    });

    test('a new user without a password, and an active provider that nobody stored', async () => {
      await expect(
        load(
          'version: 1\nusers: {constructor: {role: user}}\nai: {active: vllm}\nembedding: {active: ollama}',
        ),
      ).rejects.toMatchObject({
        code: 'FILE_INVALID',
        details: [
          'kg.yaml:2:22: users.constructor: password is missing, and the user is not there yet',
          'kg.yaml:3:14: ai.active: vllm is neither in ai.providers nor stored',
          'kg.yaml:4:21: embedding.active: ollama is neither in embedding.providers nor stored',
        ],
      });
    });
  });

  test('no secret is in an export', async () => {
    await load(WHOLE);
    const { objectStore } = await loadConfig(database.db, encryptionKey);
    const saved = (await save()) + JSON.stringify(await exportConfiguration(database.db));
    for (const secret of [
      PASSWORD,
      OTHER_PASSWORD,
      'sk-test-1',
      objectStore.secretAccessKey?.reveal() ?? '-',
      '$argon2',
    ])
      expect(saved).not.toContain(secret);
  });

  describe('the object store', () => {
    test('is made first, so that a Garage that is not there leaves nothing half done', async () => {
      const before = await rows();
      const broken = { garage: () => Promise.reject(new Error('not there')) };
      await expect(load(WHOLE, { objectStores: broken })).rejects.toThrow('not there');
      expect(await rows()).toEqual(before);
    });

    test('is not made when the rest is refused', async () => {
      await expect(load(WHOLE, { env: {} })).rejects.toMatchObject({ code: 'SECRET_UNRESOLVED' });
      expect(garage.state.writes).toBe(0);
    });

    test('where there can be none of the kind, that is said', async () => {
      await expect(load(WHOLE, { objectStores: {} })).rejects.toMatchObject({
        code: 'OBJECT_STORE_UNAVAILABLE',
        message: "kg.yaml:31:14: objectStore can't be garage here",
      });
    });

    test('documents are not left behind', async () => {
      await load(WHOLE);
      await database.session.query(
        `INSERT INTO kg_api.documents (title, object_key, bytes, sha256, created_by) VALUES ('t', 'k', 1, repeat('a', 64), 'x')`,
      );
      await expect(load('version: 1\nobjectStore: files', { dryRun: true })).rejects.toMatchObject({
        code: 'STORE_IN_USE',
      });
    });
  });

  test('what is tested has the key of the file, or else the stored one', async () => {
    await load(WHOLE);
    const { document } = read(`version: 1
ai: {providers: {local: {}, openai: {}, vllm: {model: m, baseUrl: "http://gpu:8000/v1/"}, ollama: {model: m}}}
embedding: {providers: {local: {}, ollama: {}}}
apiKeys: {vllm: {env: KG_VLLM}, anthropic: {env: KG_VLLM}, openai-compatible: {env: KG_VLLM}}`);
    const secrets = resolveSecrets(document, { env: { KG_VLLM: 'sk-vllm' }, root });
    const targets = await probeTargets(database.db, document, { encryptionKey, secrets, host: 'localhost' });
    expect(targets.map(({ key, ...target }) => ({ ...target, key: key?.reveal() ?? null }))).toEqual([
      { provider: 'openai', baseUrl: 'https://api.openai.com/v1', model: 'gpt-5-mini', key: 'sk-test-1' },
      { provider: 'vllm', baseUrl: 'http://gpu:8000/v1', model: 'm', key: 'sk-vllm' },
      { provider: 'ollama', baseUrl: 'http://localhost:11434/v1', model: 'm', key: null },
      { provider: 'ollama', baseUrl: 'http://localhost:11434/v1', model: 'nomic-embed-text', key: null },
      { provider: 'anthropic', baseUrl: 'https://api.anthropic.com', model: null, key: 'sk-vllm' },
    ]);
  });

  test('embeddings that would not fit are kept unless said otherwise', async () => {
    await load(WHOLE);
    await database.session.query(
      `INSERT INTO kg_api.embeddings (subject, provider, model, embedding) VALUES ('s', 'local', 'nomic-embed-text-v1.5', array_fill(0::real, ARRAY[768]))`,
    );
    const other = 'version: 1\nembedding: {active: openai}';
    await expect(load(other)).rejects.toMatchObject({ code: 'EMBEDDINGS_EXIST' });
    expect(await load(other, { discardEmbeddings: true })).toMatchObject({ changed: true });
  });
});

/** Files would have to be there; their names become variables. */
function inVariables(document: ConfigurationDocument): ConfigurationDocument {
  return JSON.parse(JSON.stringify(document), (_key, value) =>
    typeof value?.file === 'string' ? { env: `KG_FILE_${Buffer.from(value.file).toString('hex')}` } : value,
  );
}

function withAdmin(document: ConfigurationDocument): ConfigurationDocument {
  return {
    ...document,
    users: { ...document.users, admin: { role: 'admin', password: { env: 'KG_ADMIN_PASSWORD' } } },
  };
}
