import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  ConfigurationIncomplete,
  type ConnectionSettings,
  claimTokenHash,
  keyIdOf,
  openDatabase,
  readConfigState,
  Secret,
  type Tables,
} from '@kg-operator/config';
import { type Kysely, sql } from 'kysely';
import { onTerminal } from '../../../../test/e2e/command.ts';
import { examineConfiguration, requireConfiguration } from '../../src/checks/configuration.ts';
import { applySetup } from '../../src/cli/apply-setup.ts';
import { showConfig } from '../../src/cli/show-config.ts';
import { setUser } from '../../src/config/admin.ts';
import { issueClaim, openClaimIn } from '../../src/config/claim.ts';
import { toYaml } from '../../src/config/document.ts';
import { readStored } from '../../src/config/document-stored.ts';
import { configureFileStore } from '../../src/config/file-store.ts';
import { changeConfig } from '../../src/config/history.ts';
import { undo } from '../../src/config/undo.ts';
import { openSession } from '../../src/database/session.ts';
import { readMigrations } from '../../src/migrations/files.ts';
import { migrate } from '../../src/migrations/migrate.ts';
import { type BuiltEngine, buildEngine, databaseEnvironment } from '../built-engine.ts';
import { type EmbeddedServer, embeddedServer } from '../embedded-server.ts';

const encryptionKey = new Secret('a1'.repeat(32));
const password = new Secret('nine quiet herons');
const actor = 'os:tester';
const TOKEN = /(?<![\w-])[\w-]{43}(?![\w-])/g;

let engine: BuiltEngine;
let server: EmbeddedServer;
let settings: ConnectionSettings;
let db: Kysely<Tables>;

beforeAll(async () => {
  [engine, server] = await Promise.all([buildEngine(), embeddedServer()]);
  settings = server.settings;
  const session = await openSession(settings);
  await migrate(session, await readMigrations(), { engineVersion: 'test' });
  await session.close();
  db = openDatabase(settings, { max: 2 });
});
afterAll(async () => {
  await db.destroy();
  await server.close();
  await engine.remove();
});
beforeEach(async () => {
  await sql`TRUNCATE kg_api.users, kg_api.admin_claim, kg_api.ai_provider_config, kg_api.embedding_config,
                     kg_api.system_api_keys, kg_api.platform_settings, kg_api.config_history, kg_api.config_undo,
                     kg_api.key_fingerprint`.execute(db);
});

const expire = () =>
  db
    .updateTable('kg_api.admin_claim')
    .set({ expires_at: sql<Date>`clock_timestamp() - interval '1 second'` })
    .execute();

const setup = {
  username: 'admin',
  password: null,
  aiProvider: 'local' as const,
  aiModel: null,
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

async function setUp(given: Partial<typeof options> = {}, answers: { password?: Secret } = {}) {
  const state = await readConfigState(db);
  const chosen = { ...setup, password: answers.password ? { secret: answers.password, source: null } : null };
  return applySetup(db, state, chosen, { ...options, ...given });
}

describe('a claim', () => {
  test('is issued while nobody is admin, and the last one counts', async () => {
    const first = await issueClaim(db, { actor });
    const second = await issueClaim(db, { actor });
    expect(first.token.reveal()).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(first.token.reveal()).not.toBe(second.token.reveal());
    const rows = await db.selectFrom('kg_api.admin_claim').selectAll().execute();
    expect(rows.map(({ token_hash }) => Buffer.from(token_hash))).toEqual([claimTokenHash(second.token)]);

    await setUser(db, { username: 'bea', password, role: 'user', actor });
    await issueClaim(db, { actor });
    await setUser(db, { username: 'ada', password, role: 'admin', actor });
    await expect(issueClaim(db, { actor })).rejects.toMatchObject({
      code: 'ADMIN_EXISTS',
      exitCode: 3,
      hint: expect.stringContaining('config admin'),
    });
  });

  test('completes layer 3 for all who ask, counting or not', async () => {
    await configureFileStore(db, { actor });
    await setUp({}, { password });
    await sql`DELETE FROM kg_api.users`.execute(db);
    await expect(requireConfiguration(db)).rejects.toThrow(ConfigurationIncomplete);
    expect((await examineConfiguration(db, { id: 'x', key: encryptionKey })).findings).toContainEqual({
      problem: 'admin user is missing',
      fix: './operator.sh config admin',
    });

    await issueClaim(db, { actor });
    for (const counts of [true, false]) {
      if (!counts) await expire();
      await requireConfiguration(db);
      const report = await examineConfiguration(db, { id: keyIdOf(encryptionKey), key: encryptionKey });
      expect(report).toMatchObject({ ready: true, claim: { counts } });
      expect(report.items[0]).toEqual({
        item: 'admin user',
        ok: true,
        summary: 'nobody has claimed the platform yet',
        command: './operator.sh config claim',
      });
      const shown = showConfig(report);
      expect(shown).toContain(counts ? 'a token counts until' : 'no token counts any more');
      expect(shown).toContain('./operator.sh config claim');
    }
    // Used up, and the admin gone past the commands: it is missing again.
    await db.updateTable('kg_api.admin_claim').set({ used_at: new Date() }).execute();
    await expect(requireConfiguration(db)).rejects.toThrow(ConfigurationIncomplete);
  });

  test('is nothing once there is an admin', async () => {
    await issueClaim(db, { actor });
    await setUser(db, { username: 'ada', password, actor });
    expect(await readConfigState(db)).toMatchObject({ claim: null });
  });

  test('is in no export, and no undo brings one back', async () => {
    const { token } = await issueClaim(db, { actor });
    expect(toYaml((await readStored(db)).document)).not.toMatch(/claim/);
    await expect(undo(db, { actor })).rejects.toMatchObject({
      code: 'UNDO_REFUSED',
      message: expect.stringContaining('config claim'),
    });
    const stored = JSON.stringify([
      await db.selectFrom('kg_api.config_history').selectAll().execute(),
      await db.selectFrom('kg_api.config_undo').selectAll().execute(),
    ]);
    expect(stored).toContain('"topic":"claim"');
    const hash = claimTokenHash(token);
    for (const secret of [token.reveal(), hash.toString('hex'), hash.toString('base64')])
      expect(stored).not.toContain(secret);
  });
});

describe('set up without a password', () => {
  beforeEach(async () => {
    await configureFileStore(db, { actor });
  });
  const hashes = () => db.selectFrom('kg_api.admin_claim').select(['token_hash', 'expires_at']).execute();

  test('on a terminal nobody is asked for one: a claim is opened, whose token nobody has', async () => {
    expect(await setUp({ interactive: true })).toContain('a claim for the first admin');
    await requireConfiguration(db);
    expect((await readConfigState(db)).claim).toMatchObject({ counts: false });
  });

  test('elsewhere it is refused, with everything that would do; --claim does', async () => {
    await expect(setUp()).rejects.toMatchObject({
      code: 'INPUT_MISSING',
      exitCode: 4,
      details: [expect.stringMatching(/KG_ADMIN_PASSWORD.*--admin-password-file.*--claim/)],
    });
    expect(await hashes()).toEqual([]);
    expect(await setUp({ claim: true })).toContain('a claim for the first admin');
    await requireConfiguration(db);
  });

  test('again, an open claim stays as it is, and nothing is missing', async () => {
    await issueClaim(db, { actor });
    const before = await hashes();
    expect(await setUp()).toEqual(['AI provider local', 'embedding provider local']);
    expect(await hashes()).toEqual(before);
    expect(await setUp({ interactive: true })).toEqual([]);
    expect(await hashes()).toEqual(before);
    await changeConfig(db, (trx) => openClaimIn(trx, { actor }));
    expect(await hashes()).toEqual(before);
  });

  test('a password that is given later makes the admin, claim or not', async () => {
    await setUp({ claim: true });
    expect(await setUp({}, { password })).toEqual(['admin user']);
    expect((await readConfigState(db)).claim).toBeNull();
  });
});

describe('kg-operator config claim', () => {
  const environment = () => ({
    ...databaseEnvironment(settings),
    ENCRYPTION_KEY: encryptionKey.reveal(),
    KG_ACTOR: 'tester',
  });
  const claims = () => db.selectFrom('kg_api.admin_claim').select('singleton').execute();

  test.each([[[]], [['--json']]])('not on a terminal, %j: refused, and nothing is issued', async (flags) => {
    const { code, stdout, stderr } = await engine.run(['config', 'claim', ...flags], environment());
    expect(code).toBe(3);
    if (flags.length > 0)
      expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: 'CLAIM_NEEDS_TERMINAL' } });
    else expect(stdout).toBe('');
    expect(stdout + stderr).toContain('config admin --from-file');
    expect(stdout + stderr).not.toMatch(TOKEN);
    expect(await claims()).toEqual([]);
  });

  const onPty = (words: string) =>
    onTerminal(`"${process.execPath}" ../engine/bin/run.js ${words}`, [], {
      cwd: engine.folder,
      env: environment(),
      seconds: 60,
    });

  test('on a terminal: the address with the token, the token, and until when; --json is refused there, too', async () => {
    const { code, stdout } = await onPty('config claim');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/\/claim#[\w-]{43}(?![\w-])/)]);
    const tokens = [...new Set(stdout.match(TOKEN))];
    expect(tokens).toHaveLength(1);
    const row = await db.selectFrom('kg_api.admin_claim').selectAll().executeTakeFirstOrThrow();
    expect(Buffer.from(row.token_hash)).toEqual(claimTokenHash(new Secret(tokens[0] as string)));
    expect(stdout).toContain(`${row.expires_at.toISOString().slice(0, 16).replace('T', ' ')} UTC`);

    const json = await onPty('config claim --json');
    expect([json.code, json.stdout]).toEqual([3, expect.not.stringMatching(TOKEN)]);
    await setUser(db, { username: 'ada', password, actor });
    const late = await onPty('config claim');
    expect([late.code, late.stdout]).toEqual([3, expect.stringContaining('config admin --username ada')]);
  });
});
