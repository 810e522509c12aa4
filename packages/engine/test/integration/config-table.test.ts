import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type ConnectionSettings, openDatabase, type Tables } from '@kg-operator/config';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { type Kysely, sql } from 'kysely';
import { ensureFingerprint } from '../../src/config/fingerprint.ts';
import { openSession } from '../../src/database/session.ts';
import { readMigrations } from '../../src/migrations/files.ts';
import { migrate } from '../../src/migrations/migrate.ts';
import { type BuiltEngine, buildEngine, databaseEnvironment } from '../built-engine.ts';
import {
  ENCRYPTION_KEY,
  FILES,
  giveEverything,
  LOOKS,
  type Recorded,
  type Run,
  SECRETS,
  TOPICS,
} from '../config-topics.ts';
import { type EmbeddedServer, embeddedServer } from '../embedded-server.ts';

jest.setTimeout(120_000);

const schema = (name: string) =>
  new Ajv2020({ strict: false }).compile(
    JSON.parse(readFileSync(new URL(`../../../../schema/json/${name}.schema.json`, import.meta.url), 'utf8')),
  );
const describesDocument = schema('document');
/** What is described of `data`, by the command's words. */
const DESCRIBED: Record<string, ReturnType<typeof schema>> = {
  'config show': schema('config-show'),
  'config history': schema('config-history'),
};
const CONFIGURED = [
  'users',
  'ai_provider_config',
  'embedding_config',
  'system_api_keys',
  'platform_settings',
  'key_fingerprint',
  'config_history',
  'config_undo',
];

let engine: BuiltEngine;
let server: EmbeddedServer;
let settings: ConnectionSettings;
let db: Kysely<Tables>;
const printed: string[] = [];

beforeAll(async () => {
  [engine, server] = await Promise.all([buildEngine(), embeddedServer()]);
  for (const [name, text] of Object.entries(FILES)) await writeFile(join(engine.folder, name), text);
  settings = server.settings;
  const session = await openSession(settings);
  await migrate(session, await readMigrations(), { engineVersion: 'test' });
  await session.close();
  db = openDatabase(settings);
});
afterAll(async () => {
  await db.destroy();
  await server.close();
  await engine.remove();
});

interface Answer {
  exitCode: number | null;
  document: {
    ok: boolean;
    data: Record<string, unknown>;
    error: { code: string; message: string; hint?: string; details?: string[] };
    warnings: string[];
  };
}

async function command({ args, env = {} }: Run, key = ENCRYPTION_KEY.reveal()): Promise<Answer> {
  const { code, stdout, stderr } = await engine.run([...args, '--json'], {
    ...databaseEnvironment(settings),
    ENCRYPTION_KEY: key,
    KG_ACTOR: 'tester',
    ...env,
  });
  printed.push(stdout, stderr);
  const document = JSON.parse(stdout) as Answer['document'];
  expect([describesDocument(document), describesDocument.errors]).toEqual([true, null]);
  const described = document.ok ? DESCRIBED[args.slice(0, 2).join(' ')] : undefined;
  if (described) expect([described(document.data), described.errors]).toEqual([true, null]);
  expect(document.ok).toBe(code === 0);
  return { exitCode: code, document };
}

async function empty(): Promise<void> {
  await sql.raw(`TRUNCATE ${CONFIGURED.map((table) => `kg_api.${table}`).join(', ')}`).execute(db);
}

/** Everything that is stored, as text. */
async function everything(): Promise<string[]> {
  const tables = CONFIGURED.map((name) => `SELECT '${name} ' || t::text AS row FROM kg_api.${name} t`);
  const { rows } = await sql<{ row: string }>`${sql.raw(tables.join(' UNION ALL '))} ORDER BY 1`.execute(db);
  return rows.map(({ row }) => row);
}

async function history() {
  return db
    .selectFrom('kg_api.config_history')
    .select(['actor', 'topic', 'action', 'subject', 'before', 'after', 'change_id'])
    .orderBy('id')
    .execute();
}

async function recordedBy(run: () => Promise<unknown>) {
  const before = (await history()).length;
  await run();
  return (await history()).slice(before);
}

const asRecorded = (rows: Recorded[]) =>
  rows.map(({ topic, action, subject }) => ({ topic, action, subject }));

describe.each(TOPICS)('config $name', (topic) => {
  beforeAll(async () => {
    await empty();
    await topic.given?.(db);
  });

  test('fresh: done, recorded with who it was, in the document', async () => {
    let answer: Answer | undefined;
    const rows = await recordedBy(async () => {
      answer = await command(topic.fresh);
    });
    expect(answer).toMatchObject({
      exitCode: 0,
      document: { ok: true, data: { ...topic.fresh.data, changed: true } },
    });
    expect(asRecorded(rows as Recorded[])).toEqual(topic.fresh.recorded);
    expect(new Set(rows.map(({ actor }) => actor))).toEqual(new Set(['os:tester']));
    // All of one command is one change.
    expect(new Set(rows.map(({ change_id }) => change_id)).size).toBe(1);
  });

  test('repeat: nothing is written twice', async () => {
    const before = await everything();
    const { repeat } = topic;
    if (repeat !== 'unchanged' && 'recorded' in repeat) {
      const rows = await recordedBy(async () => expect((await command(topic.fresh)).exitCode).toBe(0));
      expect(asRecorded(rows as Recorded[])).toEqual(repeat.recorded);
      return;
    }
    const answer = await command(topic.fresh);
    if (repeat === 'unchanged')
      expect(answer).toMatchObject({
        exitCode: 0,
        document: { data: { ...topic.fresh.data, changed: false } },
      });
    else
      expect(answer).toMatchObject({ exitCode: repeat.exitCode, document: { error: { code: repeat.code } } });
    expect(await everything()).toEqual(before);
  });

  test('change: recorded, with what was before and what is after', async () => {
    let answer: Answer | undefined;
    const rows = await recordedBy(async () => {
      answer = await command(topic.change);
    });
    expect(answer).toMatchObject({ exitCode: 0, document: { data: { changed: true } } });
    expect(asRecorded(rows as Recorded[])).toEqual(topic.change.recorded);
    for (const { action, before, after } of rows) {
      if (action !== 'activate') expect(before === null).toBe(action === 'create');
      expect(after === null).toBe(action === 'delete');
      expect(before).not.toEqual(after);
    }
  });

  test('invalid: refused with its code and what to do, nothing written', async () => {
    const before = await everything();
    const { exitCode, document } = await command(topic.invalid);
    expect([exitCode, document.error.code]).toEqual([topic.invalid.exitCode, topic.invalid.code]);
    expect(document.error.hint).toBeTruthy();
    expect(await everything()).toEqual(before);
  });

  test('wrong ENCRYPTION_KEY: one sentence, exit 4, nothing overwritten', async () => {
    await ensureFingerprint(db, ENCRYPTION_KEY);
    const before = await everything();
    for (const run of [topic.fresh, topic.change]) {
      const { exitCode, document } = await command(run, SECRETS.wrongKey);
      expect([exitCode, document.error.code]).toEqual([4, 'WRONG_ENCRYPTION_KEY']);
      expect(document.error.message).toMatch(
        /^ENCRYPTION_KEY is key [0-9a-f]{16}, but this database's credentials are encrypted with key [0-9a-f]{16}: restore the \.env that belongs to this database$/,
      );
    }
    expect(await everything()).toEqual(before);
  });

  test('two at once: one after the other, each sees what the one before left', async () => {
    const { runs, exitCodes } = topic.concurrent;
    let answers: Answer[] = [];
    const rows = await recordedBy(async () => {
      answers = await Promise.all(runs.map((run) => command(run)));
    });
    expect(exitCodes).toContainEqual(answers.map(({ exitCode }) => exitCode).sort());
    const changes = answers.filter(({ document }) => document.ok && document.data.changed);
    expect(new Set(rows.map(({ change_id }) => change_id)).size).toBe(changes.length);
    for (const [index, row] of rows.entries()) {
      const next = rows
        .slice(index + 1)
        .find(({ topic, subject }) => topic === row.topic && subject === row.subject);
      if (next) expect(next.before).toEqual(row.after);
    }
    for (const table of ['ai_provider_config', 'embedding_config'])
      expect(
        (await sql.raw(`SELECT 1 FROM kg_api.${table} WHERE active`).execute(db)).rows.length,
      ).toBeLessThan(2);
  });
});

describe('commands that only look', () => {
  beforeAll(async () => {
    await empty();
    await giveEverything(db);
  });

  test.each(LOOKS)(
    'config $line writes nothing, with the right key or another',
    async ({ line, ...expected }) => {
      const run = { args: ['config', ...line.split(' ')] };
      const before = await everything();
      expect(await command(run)).toMatchObject({ exitCode: 0, document: { data: expected.data } });
      expect((await command(run, SECRETS.wrongKey)).exitCode).toBe(expected.withWrongKey);
      expect(await everything()).toEqual(before);
    },
  );

  test('config validate names everything that is wrong at once, exit 4', async () => {
    await sql`UPDATE kg_api.system_api_keys SET ciphertext = set_byte(ciphertext, 40, 255 - get_byte(ciphertext, 40)) WHERE provider = 'openai'`.execute(
      db,
    );
    await sql`UPDATE kg_api.platform_settings SET value = '1' WHERE key = 'extraction.timeout'`.execute(db);
    const validate = { args: ['config', 'validate'] };
    const { exitCode, document } = await command(validate);
    expect([exitCode, document.error]).toMatchObject([4, { code: 'CONFIGURATION_INVALID' }]);
    const named = [
      '"openai" can\'t be decrypted',
      'embedding provider is missing',
      'object storage is missing',
      'extraction.timeout must be',
    ];
    expect(document.error.details).toHaveLength(named.length);
    for (const what of named) expect(document.error.details?.join('\n')).toContain(what);
    const wrong = await command(validate, SECRETS.wrongKey);
    expect(wrong.exitCode).toBe(4);
    expect(wrong.document.error.details?.[0]).toMatch(/^ENCRYPTION_KEY is key/);
    // The damaged one is no hindrance to setting it anew.
    expect(
      await command({ args: ['config', 'api-key', 'openai'], env: { KG_AI_API_KEY: SECRETS.otherKey } }),
    ).toMatchObject({ exitCode: 0 });
  });

  test('config get NAME prints the value alone', async () => {
    const env = { ...databaseEnvironment(settings), ENCRYPTION_KEY: ENCRYPTION_KEY.reveal() };
    expect(await engine.run(['config', 'get', 'graph.max-concepts'], env)).toMatchObject({
      code: 0,
      stdout: '77\n',
      stderr: '',
    });
  });
});

test('no secret was printed, or stored in the clear', async () => {
  expect(printed.length).toBeGreaterThan(TOPICS.length * 10);
  for (const text of [...printed, ...(await everything())])
    for (const secret of [...Object.values(SECRETS), ENCRYPTION_KEY.reveal()])
      expect(text).not.toContain(secret);
});
