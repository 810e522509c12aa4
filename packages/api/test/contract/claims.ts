import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  ConfigurationIncomplete,
  claimTokenHash,
  keyIdOf,
  newClaimToken,
  openDatabase,
  Secret,
  type Tables,
} from '@kg-operator/config';
import { type Kysely, sql } from 'kysely';
import { applyMigrations, type TestDatabase } from '../../../config/test/contract/database.ts';
import { setUser } from '../../../engine/src/config/admin.ts';
import { issueClaim } from '../../../engine/src/config/claim.ts';
import { jsonLog, Redaction } from '../../src/log.ts';
import { createPlatform, type PlatformOptions } from '../../src/platform.ts';
import { SIGNING_KEY } from '../fakes.ts';

const ENCRYPTION_KEY = new Secret('e1'.repeat(32));
const PASSWORD = 'nine quiet herons';
const actor = 'os:test';

type Platform = Awaited<ReturnType<typeof createPlatform>>;

/** How the first admin is made while the API runs, on a server of any kind. */
export function claimsContract(name: string, open: () => Promise<TestDatabase>): void {
  describe(`a platform that nobody has claimed, on ${name}`, () => {
    let database: TestDatabase;
    let db: Kysely<Tables>;
    let folder: string;
    let options: PlatformOptions;
    const platforms: Platform[] = [];
    const lines: string[] = [];

    beforeAll(async () => {
      database = await open();
      await applyMigrations(database.settings);
      db = openDatabase(database.settings, { max: 4 });
      folder = await mkdtemp(join(tmpdir(), 'kg-claims-'));
      await configure();
      options = {
        version: 'test',
        db,
        connection: database.settings,
        encryptionKey: ENCRYPTION_KEY,
        signingKey: new Secret(SIGNING_KEY),
        dataDirectory: folder,
        log: jsonLog(new Redaction(), (line) => lines.push(line)),
        onSecrets: () => {},
        shutdown: new AbortController().signal,
      };
    }, 120_000);
    beforeEach(async () => {
      await Promise.all(platforms.splice(0).map((platform) => platform.close()));
      await db.deleteFrom('kg_api.users').execute();
      await db.deleteFrom('kg_api.admin_claim').execute();
      await db.deleteFrom('kg_api.config_history').execute();
      lines.length = 0;
    });
    afterAll(async () => {
      await Promise.all(platforms.map((platform) => platform.close()));
      await db?.destroy();
      await database?.close();
      await rm(folder, { recursive: true, force: true });
    });

    /** All that layer 3 wants but an admin; as many refused tokens as a test needs. */
    async function configure(): Promise<void> {
      const store = { endpoint: 'file:objects', region: 'local', bucket: 'documents', accessKeyId: '' };
      await db
        .insertInto('kg_api.key_fingerprint')
        .values({ key_id: keyIdOf(ENCRYPTION_KEY) })
        .execute();
      await db
        .insertInto('kg_api.ai_provider_config')
        .values({ provider: 'local', model: 'rules', active: true })
        .execute();
      await db
        .insertInto('kg_api.embedding_config')
        .values({ provider: 'local', model: 'hash', dimensions: 8, active: true })
        .execute();
      await db
        .insertInto('kg_api.platform_settings')
        .values([
          { key: 'object_store', value: JSON.stringify(store) },
          { key: 'auth.login-attempts', value: '1000' },
        ])
        .execute();
    }

    async function start(): Promise<Platform> {
      const platform = await createPlatform(options);
      platforms.push(platform);
      return platform;
    }

    const claim = ({ app }: Platform, token: Secret, given: { username?: string; password?: string } = {}) =>
      app.request('/claim', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ token: token.reveal(), password: PASSWORD, ...given }),
      });
    const seen = async (response: Response) =>
      JSON.stringify([response.status, [...response.headers].sort(), await response.text()]);
    const users = () => db.selectFrom('kg_api.users').select(['username', 'role']).execute();
    const usedAt = async () =>
      (await db.selectFrom('kg_api.admin_claim').select('used_at').executeTakeFirstOrThrow()).used_at;

    test('starts once a claim was issued, and not before', async () => {
      await expect(start()).rejects.toThrow(ConfigurationIncomplete);
      await issueClaim(db, { actor });
      expect(await (await start()).ready()).toMatchObject({ ready: true });
    });

    test('the token makes an admin who is logged in; the history tells when, and no secret is anywhere', async () => {
      const { token } = await issueClaim(db, { actor });
      const platform = await start();
      const response = await claim(platform, token, { username: 'marie' });
      expect(response.status).toBe(200);
      const { access_token } = (await response.json()) as { access_token: string };
      const authorization = `Bearer ${access_token}`;
      expect((await platform.app.request('/config', { headers: { authorization } })).status).toBe(200);
      expect(await users()).toEqual([{ username: 'marie', role: 'admin' }]);
      const login = { grant_type: 'password', username: 'marie', password: PASSWORD };
      const again = await platform.app.request('/oauth/token', {
        method: 'POST',
        body: new URLSearchParams(login),
      });
      expect(again.status).toBe(200);
      const history = await db.selectFrom('kg_api.config_history').selectAll().orderBy('id').execute();
      expect(history).toMatchObject([
        { actor, topic: 'claim', action: 'create', after: { expiresAt: expect.any(String) } },
        { actor: 'api:claim', topic: 'admin', action: 'create', subject: 'marie', after: { role: 'admin' } },
      ]);
      const stored = await db.selectFrom('kg_api.config_undo').selectAll().execute();
      const text = lines.join('') + JSON.stringify([history, stored]);
      const hash = claimTokenHash(token);
      for (const secret of [token.reveal(), PASSWORD, hash.toString('hex'), hash.toString('base64')])
        expect(text).not.toContain(secret);
    });

    test('race: of 50 at once, over two copies of the API, one succeeds', async () => {
      const { token } = await issueClaim(db, { actor });
      const copies = [await start(), await start()];
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          claim(copies[index % 2] as Platform, token, { username: `admin${index}` }),
        ),
      );
      const statuses = answers.map(({ status }) => status);
      expect(statuses.filter((status) => status === 200)).toHaveLength(1);
      expect(statuses.filter((status) => status === 403)).toHaveLength(49);
      expect(await users()).toEqual([{ username: `admin${statuses.indexOf(200)}`, role: 'admin' }]);
      expect(
        await db.selectFrom('kg_api.config_history').select('subject').where('topic', '=', 'admin').execute(),
      ).toHaveLength(1);
    });

    test('expired, used, replaced, never issued, wrong, an admin meanwhile: one and the same answer, to the byte', async () => {
      const answers: Record<string, string> = {};
      await issueClaim(db, { actor });
      const platform = await start();
      answers.wrong = await seen(await claim(platform, newClaimToken()));

      const replaced = await issueClaim(db, { actor });
      const expired = await issueClaim(db, { actor });
      answers.replaced = await seen(await claim(platform, replaced.token));
      await db
        .updateTable('kg_api.admin_claim')
        .set({ expires_at: sql<Date>`clock_timestamp() - interval '1 millisecond'` })
        .execute();
      answers.expired = await seen(await claim(platform, expired.token));

      const overtaken = await issueClaim(db, { actor });
      await setUser(db, { username: 'ada', password: new Secret('correct horse battery'), actor });
      answers.adminMeanwhile = await seen(await claim(platform, overtaken.token));
      answers.adminMeanwhileShort = await seen(await claim(platform, overtaken.token, { password: 'short' }));
      expect(await users()).toEqual([{ username: 'ada', role: 'admin' }]);

      await db.deleteFrom('kg_api.users').execute();
      const used = await issueClaim(db, { actor });
      expect((await claim(platform, used.token)).status).toBe(200);
      answers.used = await seen(await claim(platform, used.token));
      // Even if the admin that it made is gone again.
      await db.deleteFrom('kg_api.users').execute();
      answers.usedWithoutAdmin = await seen(await claim(platform, used.token));

      await db.deleteFrom('kg_api.admin_claim').execute();
      answers.neverIssued = await seen(await claim(platform, used.token));
      expect(answers).toEqual(
        Object.fromEntries(Object.keys(answers).map((reason) => [reason, answers.wrong])),
      );
      expect(answers.wrong).toContain('claim_refused');
    });

    test('counts to its last moment: thirty minutes by the clock of the database', async () => {
      const { token, expiresAt } = await issueClaim(db, { actor });
      const row = await db.selectFrom('kg_api.admin_claim').selectAll().executeTakeFirstOrThrow();
      const minutes = (expiresAt.getTime() - row.created_at.getTime()) / 60_000;
      expect(minutes).toBeCloseTo(30, 2);
      await db
        .updateTable('kg_api.admin_claim')
        .set({ expires_at: sql<Date>`clock_timestamp() + interval '20 seconds'` })
        .execute();
      expect((await claim(await start(), token)).status).toBe(200);
    });

    test('a password that is refused uses nothing up', async () => {
      const { token } = await issueClaim(db, { actor });
      const platform = await start();
      expect((await claim(platform, token, { password: 'password1234' })).status).toBe(422);
      await db
        .insertInto('kg_api.users')
        .values({ username: 'bea', password_hash: '$argon2id$v=19$', role: 'user' })
        .execute();
      expect((await claim(platform, token, { username: 'bea' })).status).toBe(422);
      expect(await usedAt()).toBeNull();
      expect((await claim(platform, token)).status).toBe(200);
    });

    test('cut off in the middle: neither is the token used up nor is there an admin', async () => {
      const { token } = await issueClaim(db, { actor });
      const platform = await start();
      await sql`CREATE FUNCTION kg_api.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the server ends here'; END $$`.execute(
        db,
      );
      // The last statement of the transaction.
      await sql`CREATE TRIGGER fail BEFORE INSERT ON kg_api.config_history FOR EACH ROW EXECUTE FUNCTION kg_api.fail()`.execute(
        db,
      );
      try {
        expect((await claim(platform, token)).status).toBe(500);
      } finally {
        await sql`DROP FUNCTION kg_api.fail() CASCADE`.execute(db);
      }
      expect(await users()).toEqual([]);
      expect(await usedAt()).toBeNull();
      expect(lines.join('')).not.toContain(token.reveal());
      expect((await claim(platform, token)).status).toBe(200);
    });
  });
}
