import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { openDatabase, type Tables } from '@kg-operator/config';
import { type Kysely, sql } from 'kysely';
import { applyMigrations, KEY } from '../../packages/config/test/contract/database.ts';
import { ensureFingerprint } from '../../packages/engine/src/config/fingerprint.ts';
import { setSetting } from '../../packages/engine/src/config/settings.ts';
import {
  type BuiltEngine,
  buildEngine,
  databaseEnvironment,
} from '../../packages/engine/test/built-engine.ts';
import { ensureImage } from './images.ts';
import { type PostgresServer, startPostgres } from './postgres.ts';

jest.setTimeout(600_000);

const WRITERS = 50;
/** What each of them does, in turn: changes that exclude each other, and changes that must all be there afterwards. */
const KINDS: ((n: number) => { args: string[]; env?: Record<string, string> })[] = [
  (n) => ({ args: ['ai-provider', 'ollama', '--model', `model-${n}`] }),
  (n) => ({
    args: ['ai-provider', 'openai', '--model', `model-${n}`],
    env: { KG_AI_API_KEY: `sk-writer-${n}` },
  }),
  (n) => ({ args: ['set', 'auth.token-lifetime', String(1000 + n)] }),
  (n) => ({
    args: ['admin', '--username', `user-${n}`],
    env: { KG_ADMIN_PASSWORD: `the long phrase of ${n}` },
  }),
  (n) => ({ args: ['embedding', n % 2 ? 'local' : 'ollama', '--model', `model-${n}`, '--dimensions', '8'] }),
];

describe(`${WRITERS} config commands at once, on the PostgreSQL of our image`, () => {
  let server: PostgresServer;
  let engine: BuiltEngine;
  let database: Awaited<ReturnType<PostgresServer['createDatabase']>>;
  let db: Kysely<Tables>;
  beforeAll(async () => {
    [server, engine] = await Promise.all([startPostgres(await ensureImage('postgres')), buildEngine()]);
    database = await server.createDatabase();
    await applyMigrations(database.settings);
    db = openDatabase(database.settings, { max: 60 });
    await ensureFingerprint(db, KEY);
  });
  afterAll(async () => {
    await db.destroy();
    await database.close();
    await Promise.all([server.close(), engine.remove()]);
  });

  const history = () => db.selectFrom('kg_api.config_history').selectAll().orderBy('id').execute();
  const version = async () =>
    Number(
      (await db.selectFrom('kg_api.config_version').select('version').executeTakeFirstOrThrow()).version,
    );
  const deadlocks = async () =>
    (
      await sql<{
        deadlocks: string;
      }>`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`.execute(db)
    ).rows[0]?.deadlocks;

  test('all of them wait and none fails; nothing is lost, one provider is active, every change is recorded', async () => {
    const env = { ...databaseEnvironment(database.settings), ENCRYPTION_KEY: KEY.reveal() };
    const ended = await Promise.all(
      Array.from({ length: WRITERS }, async (_, n) => {
        const { args, env: own } = (KINDS[n % KINDS.length] as (typeof KINDS)[number])(n);
        return engine.run(['config', ...args, '--json'], { ...env, ...own, KG_ACTOR: `writer-${n}` });
      }),
    );
    expect(ended.filter(({ code }) => code !== 0)).toEqual([]);
    expect(ended.every(({ stdout }) => JSON.parse(stdout).data.changed === true)).toBe(true);

    const rows = await history();
    expect(new Set(rows.map(({ actor }) => actor)).size).toBe(WRITERS);
    expect(new Set(rows.map(({ change_id }) => change_id)).size).toBe(WRITERS);
    await expectUnbrokenHistory(db);

    const users = await db.selectFrom('kg_api.users').select('username').execute();
    expect(users.map(({ username }) => username).sort()).toEqual(
      Array.from({ length: WRITERS / KINDS.length }, (_, n) => `user-${n * KINDS.length + 3}`).sort(),
    );
    await expectOneActive(db);
    expect(await deadlocks()).toBe('0');
  });

  test('the same over connections alone, three hundred changes of one setting: each sees the one before', async () => {
    const before = await version();
    const changes = 300;
    let next = 0;
    await Promise.all(
      Array.from({ length: WRITERS }, async (_, writer) => {
        while (next < changes)
          await setSetting(db, {
            name: 'documents.max-bytes',
            value: 2000 + next++,
            actor: `os:writer-${writer}`,
          });
      }),
    );
    const rows = (await history()).filter(({ subject }) => subject === 'documents.max-bytes');
    expect(rows).toHaveLength(changes);
    await expectUnbrokenHistory(db);
    // A reader that follows the version misses none of them.
    expect((await version()) - before).toBeGreaterThanOrEqual(changes);
    expect(await deadlocks()).toBe('0');
  });
});

/** What a row found is what the one before it about the same thing has left, and the last one is what is stored. */
async function expectUnbrokenHistory(db: Kysely<Tables>): Promise<void> {
  const rows = await db.selectFrom('kg_api.config_history').selectAll().orderBy('id').execute();
  const last = new Map<string, unknown>();
  for (const { topic, subject, before, after } of rows) {
    // Before an activation is the provider that was active, whichever that was.
    const thing = topic === 'ai-provider' || topic === 'embedding' ? `${topic}` : `${topic} ${subject}`;
    expect([thing, before]).toEqual([thing, last.get(thing) ?? null]);
    last.set(thing, after);
  }
  const settings = await db.selectFrom('kg_api.platform_settings').select(['key', 'value']).execute();
  for (const { key, value } of settings) expect(last.get(`setting ${key}`)).toEqual({ value });
}

async function expectOneActive(db: Kysely<Tables>): Promise<void> {
  const rows = await db.selectFrom('kg_api.config_history').selectAll().orderBy('id').execute();
  for (const [topic, table] of [
    ['ai-provider', 'kg_api.ai_provider_config'],
    ['embedding', 'kg_api.embedding_config'],
  ] as const) {
    const active = await db
      .selectFrom(table)
      .select(['provider', 'model'])
      .where('active', '=', true)
      .execute();
    const last = rows.filter((row) => row.topic === topic).at(-1);
    expect(active).toMatchObject([{ provider: last?.subject, model: last?.after?.model }]);
  }
}
