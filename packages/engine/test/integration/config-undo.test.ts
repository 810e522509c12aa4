import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openCredential, Secret, verifyPassword } from '@kg-operator/config';
import { sql } from 'kysely';
import { deleteUser, setUser, setUserDisabled } from '../../src/config/admin.ts';
import { deleteAiProvider, setAiProvider, setAiProviderIn } from '../../src/config/ai-provider.ts';
import { deleteApiKey, setApiKey, setApiKeyIn } from '../../src/config/api-key.ts';
import { readChanges } from '../../src/config/changes.ts';
import { setEmbedding } from '../../src/config/embedding.ts';
import { configureFileStore } from '../../src/config/file-store.ts';
import { changeConfig } from '../../src/config/history.ts';
import { setSetting, unsetSetting } from '../../src/config/settings.ts';
import { findUndo, undo } from '../../src/config/undo.ts';
import { type EmbeddedDatabase, migratedDatabase } from '../embedded-database.ts';

const encryptionKey = new Secret('a1'.repeat(32));
const actor = 'os:tester';
const password = (text: string) => new Secret(`the ${text} phrase of mine`);

describe('undo', () => {
  let database: EmbeddedDatabase;
  beforeAll(async () => {
    database = await migratedDatabase();
  });
  afterAll(() => database.close());
  beforeEach(async () => {
    await database.session.query(
      `TRUNCATE kg_api.users, kg_api.ai_provider_config, kg_api.embedding_config, kg_api.system_api_keys, kg_api.embeddings,
                kg_api.platform_settings, kg_api.config_history, kg_api.config_undo, kg_api.key_fingerprint`,
    );
    const { db } = database;
    await setUser(db, { username: 'admin', password: password('first'), actor });
    await setUser(db, { username: 'ada', role: 'user', password: password('first'), actor });
    await setAiProvider(db, { provider: 'openai', model: 'm', options: { temperature: 0.5 }, actor });
    await setApiKey(db, { provider: 'openai', key: new Secret('sk-1'), encryptionKey, actor });
    await setAiProvider(db, { provider: 'ollama', model: 'n', actor });
    await setEmbedding(db, { provider: 'local', actor });
    await setSetting(db, { name: 'web.title', value: 'Before', actor });
  });

  /** Every row of configuration but when passwords were set, which an undo moves on purpose. */
  async function rows(): Promise<string[]> {
    const tables = [
      'users',
      'ai_provider_config',
      'embedding_config',
      'system_api_keys',
      'platform_settings',
    ];
    const queries = tables.map(
      (name) => `SELECT '${name} ' || (to_jsonb(t) - 'password_set_at')::text AS row FROM kg_api.${name} t`,
    );
    return (await database.session.query<{ row: string }>(`${queries.join(' UNION ALL ')} ORDER BY 1`)).map(
      ({ row }) => row,
    );
  }

  const changes: [string, () => Promise<unknown>][] = [
    ['a new user', () => setUser(database.db, { username: 'eve', password: password('first'), actor })],
    ['a new password', () => setUser(database.db, { username: 'ada', password: password('second'), actor })],
    ['a disabled user', () => setUserDisabled(database.db, { username: 'ada', disabled: true, actor })],
    ['a deleted user', () => deleteUser(database.db, { username: 'ada', actor })],
    [
      'a change of the active provider',
      () => setAiProvider(database.db, { provider: 'openai', model: 'other', actor }),
    ],
    ['a provider that is new', () => setAiProvider(database.db, { provider: 'local', actor })],
    [
      'other options of the active provider',
      () => setAiProvider(database.db, { provider: 'ollama', options: { maxTokens: 9 }, actor }),
    ],
    ['a deleted provider', () => deleteAiProvider(database.db, { provider: 'openai', actor })],
    ['another embedding provider', () => setEmbedding(database.db, { provider: 'ollama', actor })],
    [
      'another key',
      () => setApiKey(database.db, { provider: 'openai', key: new Secret('sk-2'), encryptionKey, actor }),
    ],
    ['a deleted key', () => deleteApiKey(database.db, { provider: 'openai', evenIfNeeded: false, actor })],
    ['a setting', () => setSetting(database.db, { name: 'web.title', value: 'After', actor })],
    ['a setting that is not set any more', () => unsetSetting(database.db, { name: 'web.title', actor })],
    [
      'several topics in one change',
      () =>
        changeConfig(database.db, async (trx) => {
          await setApiKeyIn(trx, { provider: 'anthropic', key: new Secret('sk-3'), encryptionKey, actor });
          await setAiProviderIn(trx, { provider: 'anthropic', actor });
          await setAiProviderIn(trx, { provider: 'anthropic', model: 'twice', actor });
        }),
    ],
  ];

  test.each(changes)('%s: taken back to the row, done again, taken back', async (_name, change) => {
    const before = await rows();
    await change();
    const after = await rows();
    expect(after).not.toEqual(before);
    const [made] = await readChanges(database.db, { limit: 1 });

    await undo(database.db, { actor });
    expect(await rows()).toEqual(before);
    const [undone] = await readChanges(database.db, { limit: 1 });
    expect(undone?.entries).toEqual(
      made?.entries.map((entry) => ({ ...entry, action: 'undo', before: entry.after, after: entry.before })),
    );

    await undo(database.db, { actor });
    expect(await rows()).toEqual(after);
    await undo(database.db, { actor });
    expect(await rows()).toEqual(before);
    expect((await readChanges(database.db, { limit: 100 })).slice(0, 3).map(({ actor }) => actor)).toEqual([
      actor,
      actor,
      actor,
    ]);
  });

  test('a key that comes back opens', async () => {
    await setApiKey(database.db, { provider: 'openai', key: new Secret('sk-2'), encryptionKey, actor });
    await undo(database.db, { actor });
    const { ciphertext } = await database.db
      .selectFrom('kg_api.system_api_keys')
      .select('ciphertext')
      .executeTakeFirstOrThrow();
    expect(openCredential(encryptionKey, 'openai', ciphertext)).toBe('sk-1');
  });

  test('a password that comes back ends the tokens of the one before', async () => {
    await setUser(database.db, { username: 'ada', password: password('second'), actor });
    const user = () =>
      database.db
        .selectFrom('kg_api.users')
        .selectAll()
        .where('username', '=', 'ada')
        .executeTakeFirstOrThrow();
    const reset = await user();
    await undo(database.db, { actor });
    const back = await user();
    expect(await verifyPassword(back.password_hash, password('first').reveal())).toBe(true);
    expect(back.password_set_at.getTime()).toBeGreaterThan(reset.password_set_at.getTime());
  });

  test('only the last change, and none before the first', async () => {
    await database.session.query('TRUNCATE kg_api.config_history, kg_api.config_undo');
    await expect(undo(database.db, { actor })).rejects.toMatchObject({
      code: 'NOTHING_TO_UNDO',
      exitCode: 3,
    });
  });

  test('what was looked at is what is undone: not a change that came in between', async () => {
    const expected = await findUndo(database.db);
    await setSetting(database.db, { name: 'web.title', value: 'In between', actor });
    const before = await rows();
    await expect(undo(database.db, { expected, actor })).rejects.toMatchObject({ code: 'UNDO_OUTDATED' });
    expect(await rows()).toEqual(before);
  });

  test('the last admin is not undone', async () => {
    const { db } = database;
    await setUser(db, { username: 'eve', password: password('first'), actor });
    await setUserDisabled(db, { username: 'admin', disabled: true, actor });
    await setUserDisabled(db, { username: 'admin', disabled: false, actor });
    await setUserDisabled(db, { username: 'eve', disabled: true, actor });
    await setUserDisabled(db, { username: 'eve', disabled: false, actor });
    // Past the triggers, as nothing of ours does: now the change is the one that keeps an admin enabled.
    await database.session.query(
      "SET session_replication_role = replica; UPDATE kg_api.users SET disabled_at = now() WHERE username = 'admin'; SET session_replication_role = origin",
    );
    const before = await rows();
    await expect(undo(db, { actor })).rejects.toMatchObject({ code: 'LAST_ADMIN', exitCode: 3 });
    expect(await rows()).toEqual(before);
  });

  test.each([
    ['garage', () => configureFileStore(database.db, { actor }), /in Garage itself/],
    [
      'rows changed past the history',
      () => sql`UPDATE kg_api.users SET role = 'admin' WHERE username = 'ada'`.execute(database.db),
      /past kg-operator/,
    ],
    ['a rotation since', () => database.db.deleteFrom('kg_api.config_undo').execute(), /not kept any more/],
    [
      'a history of version 0.1.0',
      () =>
        database.db
          .insertInto('kg_api.config_history')
          .values({ actor: 'operator', action: 'update', subject: 'user admin' })
          .execute(),
      /0\.1\.0/,
    ],
    [
      'a row that is not any more what the change made of it',
      () =>
        database.session.query(
          'SET session_replication_role = replica; UPDATE kg_api.platform_settings SET value = \'"By hand"\'; SET session_replication_role = origin',
        ),
      /a row of platform_settings/,
    ],
  ])('%s: refused with the reason, and nothing is changed', async (_name, happen, reason) => {
    await happen();
    const before = await rows();
    await expect(undo(database.db, { actor })).rejects.toMatchObject({
      code: 'UNDO_REFUSED',
      exitCode: 3,
      message: expect.stringMatching(reason),
    });
    expect(await rows()).toEqual(before);
  });

  describe('embeddings', () => {
    const store = (model: string, dimensions: number) =>
      sql`INSERT INTO kg_api.embeddings (subject, provider, model, embedding)
          VALUES (${`${model} ${dimensions}`}, 'local', ${model}, array_fill(0.5::real, ARRAY[${dimensions}::int]))`.execute(
        database.db,
      );
    const count = async () => (await database.session.query('SELECT 1 FROM kg_api.embeddings')).length;
    const model = 'nomic-embed-text-v1.5';

    test('other dimensions, model or provider are refused with the number of vectors, and nothing is lost', async () => {
      await store(model, 768);
      await store('nomic-embed-text-v1.5', 767);
      const before = await rows();
      for (const change of [{ dimensions: 512 }, { model: 'other', dimensions: 768 }]) {
        await expect(
          setEmbedding(database.db, { provider: 'local', ...change, actor }),
        ).rejects.toMatchObject({
          code: 'EMBEDDINGS_EXIST',
          exitCode: 3,
          message: expect.stringMatching(/^2 stored embeddings were not made by local/),
          hint: expect.stringContaining('--discard-embeddings'),
        });
      }
      await expect(setEmbedding(database.db, { provider: 'openai', actor })).rejects.toMatchObject({
        code: 'EMBEDDINGS_EXIST',
      });
      expect(await rows()).toEqual(before);
      expect(await count()).toBe(2);
    });

    test('storing another provider without choosing it touches none', async () => {
      await store(model, 768);
      expect(await setEmbedding(database.db, { provider: 'openai', activate: false, actor })).toMatchObject({
        changed: true,
        active: false,
        discarded: 0,
      });
      expect(await count()).toBe(1);
    });

    test('discarded, the number is told and recorded; a precision alone keeps them', async () => {
      await store(model, 768);
      expect(
        await setEmbedding(database.db, { provider: 'local', precision: 'float16', actor }),
      ).toMatchObject({ changed: true, discarded: 0 });
      expect(
        await setEmbedding(database.db, {
          provider: 'local',
          dimensions: 512,
          discardEmbeddings: true,
          actor,
        }),
      ).toMatchObject({ changed: true, discarded: 1 });
      expect(await count()).toBe(0);
      expect((await readChanges(database.db, { limit: 1 }))[0]?.entries[0]?.after).toMatchObject({
        discardedEmbeddings: 1,
      });
    });

    test('an undo that would leave vectors behind which do not fit is refused', async () => {
      await setEmbedding(database.db, { provider: 'local', dimensions: 512, actor });
      await store(model, 512);
      await expect(undo(database.db, { actor })).rejects.toMatchObject({ code: 'EMBEDDINGS_EXIST' });
      expect(await count()).toBe(1);
    });
  });
});
