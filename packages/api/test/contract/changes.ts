import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  changeConfig,
  finishRotation,
  hashPassword,
  keyIdOf,
  openDatabase,
  passwordFingerprint,
  type Role,
  rotateEncryptionKey,
  Secret,
  sealCredential,
  type Tables,
} from '@kg-operator/config';
import { SignJWT } from 'jose';
import type { Kysely, Updateable } from 'kysely';
import { applyMigrations, type TestDatabase } from '../../../config/test/contract/database.ts';
import { jsonLog, Redaction } from '../../src/log.ts';
import { FileStoreElsewhere } from '../../src/objects/index.ts';
import { createPlatform, type PlatformOptions } from '../../src/platform.ts';
import { SigningKeyInvalid } from '../../src/signing-keys.ts';
import { type AiServer, startAiServer } from '../ai-server.ts';
import { SIGNING_KEY } from '../fakes.ts';

const ENCRYPTION_KEY = new Secret('e1'.repeat(32));
const PREVIOUS_KEY = 'cd'.repeat(32);
const PASSWORD = 'correct horse battery';
const passwordHash = await hashPassword(PASSWORD);
/** What is promised; measured where nothing else goes on. */
const TAKE_UP_MS = 2_000;
/** Where much else goes on, how long it takes says more about the machine. */
const PATIENCE_MS = 20_000;

/** How the running API follows what is changed in its database, on a server of any kind. */
export function changesContract(name: string, open: () => Promise<TestDatabase>): void {
  describe(`configuration that changes while the API runs, on ${name}`, () => {
    let database: TestDatabase;
    let db: Kysely<Tables>;
    let ai: AiServer;
    let folder: string;
    let options: PlatformOptions;
    let platform: Awaited<ReturnType<typeof createPlatform>>;
    const lines: string[] = [];
    const entries = () => lines.map((line) => JSON.parse(line) as { message: string; error?: string });

    beforeAll(async () => {
      database = await open();
      await applyMigrations(database.settings);
      db = openDatabase(database.settings, { max: 4 });
      ai = await startAiServer();
      folder = await mkdtemp(join(tmpdir(), 'kg-changes-'));
      await configure();
      const redaction = new Redaction();
      redaction.add([ENCRYPTION_KEY, new Secret(SIGNING_KEY)]);
      options = {
        version: 'test',
        db,
        connection: database.settings,
        encryptionKey: ENCRYPTION_KEY,
        signingKey: new Secret(SIGNING_KEY),
        dataDirectory: folder,
        log: jsonLog(redaction, (line) => lines.push(line)),
        onSecrets: redaction.add,
        shutdown: new AbortController().signal,
      };
      platform = await createPlatform(options);
    }, 120_000);
    afterAll(async () => {
      await platform?.close();
      await db?.destroy();
      await ai?.close();
      await database?.close();
      await rm(folder, { recursive: true, force: true });
    });
    beforeEach(() => {
      ai.behaviour = {};
      lines.length = 0;
    });

    async function configure(): Promise<void> {
      await db
        .insertInto('kg_api.key_fingerprint')
        .values({ key_id: keyIdOf(ENCRYPTION_KEY) })
        .execute();
      await setUser('ada', 'admin');
      await setModel(db, 'm0', 'sk-first-0123456789');
      await db
        .insertInto('kg_api.embedding_config')
        .values({ provider: 'local', model: 'hash', dimensions: 8, active: true })
        .execute();
      const store = { endpoint: 'file:objects', region: 'local', bucket: 'documents', accessKeyId: '' };
      await set(db, 'object_store', store);
    }

    async function set(on: Kysely<Tables>, key: string, value: unknown): Promise<void> {
      const row = { value: JSON.stringify(value) };
      await on
        .insertInto('kg_api.platform_settings')
        .values({ key, ...row })
        .onConflict((conflict) => conflict.column('key').doUpdateSet(row))
        .execute();
    }

    async function setModel(
      on: Kysely<Tables>,
      model: string,
      key: string,
      encryptionKey = ENCRYPTION_KEY,
    ): Promise<void> {
      const { keyId: key_id, ciphertext } = sealCredential(
        encryptionKey,
        'openai-compatible',
        new Secret(key),
      );
      await on
        .insertInto('kg_api.system_api_keys')
        .values({ provider: 'openai-compatible', key_id, ciphertext })
        .onConflict((conflict) => conflict.column('provider').doUpdateSet({ key_id, ciphertext }))
        .execute();
      const row = { model, base_url: `${ai.url}/v1`, active: true };
      await on
        .insertInto('kg_api.ai_provider_config')
        .values({ provider: 'openai-compatible', ...row })
        .onConflict((conflict) => conflict.column('provider').doUpdateSet(row))
        .execute();
    }

    async function setUser(username: string, role: Role): Promise<void> {
      await db.insertInto('kg_api.users').values({ username, role, password_hash: passwordHash }).execute();
    }

    async function logIn(username: string, password = PASSWORD) {
      const body = new URLSearchParams({ grant_type: 'password', username, password });
      const response = await platform.app.request('/oauth/token', { method: 'POST', body });
      const answer = (await response.json()) as { access_token: string; expires_in: number };
      return { status: response.status, ...answer };
    }

    function as(token: string) {
      return async (method: string, path: string, body?: unknown) => {
        const response = await platform.app.request(path, {
          method,
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes
        return { status: response.status, body: (await response.json()) as any };
      };
    }

    /** Asks again and again until it is so. @returns milliseconds it took */
    async function soon(holds: () => Promise<boolean>): Promise<number> {
      const began = performance.now();
      while (!(await holds())) {
        if (performance.now() - began > PATIENCE_MS) throw new Error(`not so within ${PATIENCE_MS} ms`);
        await sleep(20);
      }
      return performance.now() - began;
    }

    const site = async () =>
      (await (await platform.app.request('/site')).json()) as { title: string; maxDocumentBytes: number };

    test('a platform that cannot be made says why, and leaves nothing behind', async () => {
      await expect(createPlatform({ ...options, dataDirectory: null })).rejects.toThrow(FileStoreElsewhere);
      await expect(createPlatform({ ...options, signingKey: new Secret('short') })).rejects.toThrow(
        SigningKeyInvalid,
      );
      // A promise that nobody waits for would end the process in the next turn.
      await new Promise((resolve) => setImmediate(resolve));
    });

    test('every setting counts within two seconds, and as one with the others', async () => {
      const call = as((await logIn('ada')).access_token);
      const took: number[] = [];
      for (const title of ['One', 'Two', '<b>Three</b>']) {
        await set(db, 'web.title', title);
        took.push(await soon(async () => (await site()).title === title));
      }
      expect(Math.max(...took)).toBeLessThan(TAKE_UP_MS);

      for (const concept of ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K'])
        await call('POST', '/concepts', { name: concept });
      await db.transaction().execute(async (trx) => {
        await set(trx, 'auth.token-lifetime', 300);
        await set(trx, 'auth.login-attempts', 2);
        await set(trx, 'documents.max-bytes', 1000);
        await set(trx, 'graph.max-concepts', 10);
        await set(trx, 'extraction.timeout', 5);
      });
      await soon(async () => (await site()).maxDocumentBytes === 1000);
      expect((await logIn('ada')).expires_in).toBe(300);
      expect((await call('POST', '/documents', { title: 'T', text: 'x'.repeat(1001) })).status).toBe(413);
      for (const path of ['/graph', '/graph?limit=500'])
        expect((await call('GET', path)).body).toMatchObject({ nodes: { length: 10 }, truncated: true });
      expect((await call('GET', '/config')).body.settings['extraction.timeout']).toBe(5);
      expect(await Promise.all([1, 2].map(async () => (await logIn('eve', 'wrong')).status))).toEqual([
        400, 400,
      ]);
      expect((await logIn('eve', 'wrong')).status).toBe(429);

      await db.deleteFrom('kg_api.platform_settings').where('key', '<>', 'object_store').execute();
      await soon(async () => (await site()).title === 'Knowledge graph');
    });

    test('a new model and key are used, and the key is not in the log', async () => {
      const call = as((await logIn('ada')).access_token);
      const key = 'sk-second-0123456789';
      await db.transaction().execute((trx) => setModel(trx, 'm1', key));
      await soon(async () => (await call('GET', '/config')).body.ai.model === 'm1');
      expect((await call('POST', '/extract', { text: 'Ada met Bob.' })).status).toBe(200);
      expect(ai.last).toMatchObject({ model: 'm1', keySha256: sha256(key) });
      await call('GET', `/${key}`);
      expect(entries().some(({ message }) => message === 'configuration taken up')).toBe(true);
      expect(lines.join()).toContain('[redacted]');
      expect(lines.join()).not.toContain(key);
    });

    test('a request that is under way ends with the configuration it began with', async () => {
      const call = as((await logIn('ada')).access_token);
      await db.transaction().execute((trx) => setModel(trx, 'slow', 'sk-slow-0123456789'));
      await soon(async () => (await call('GET', '/config')).body.ai.model === 'slow');
      const gate = Promise.withResolvers<void>();
      ai.behaviour = { gate: gate.promise };
      const slow = call('POST', '/extract', { text: 'Grace Hopper met Ada.' });
      await soon(async () => ai.last?.model === 'slow');
      ai.behaviour = {};
      await db.transaction().execute((trx) => setModel(trx, 'fast', 'sk-fast-0123456789'));
      await soon(async () => (await call('GET', '/config')).body.ai.model === 'fast');
      expect((await call('POST', '/extract', { text: 'Ada met Bob.' })).status).toBe(200);
      expect(ai.last).toMatchObject({ model: 'fast', keySha256: sha256('sk-fast-0123456789') });
      gate.resolve();
      const { status, body } = await slow;
      expect([status, body.concepts.map((concept: { name: string }) => concept.name)]).toEqual([
        200,
        ['Grace Hopper', 'Ada'],
      ]);
    });

    test('200 requests at once during 20 changes: each sees one configuration', async () => {
      const call = as((await logIn('ada')).access_token);
      let changing = true;
      const seen = new Map<string, string>();
      const calls = ai.calls.length;
      const watchers = Array.from({ length: 200 }, async () => {
        let count = 0;
        do {
          const { status, body } = await call('GET', '/config');
          expect(status).toBe(200);
          const shown = [body.ai.model, body.settings['web.title'], body.settings['graph.max-concepts']];
          seen.set(shown.join(), body.version);
          count += 1;
          await sleep(25);
        } while (changing);
        return count;
      });
      const askers = Array.from({ length: 5 }, async () => {
        do {
          expect((await call('POST', '/extract', { text: 'Ada met Bob.' })).status).toBe(200);
          await sleep(100);
        } while (changing);
      });
      try {
        for (let change = 100; change < 120; change += 1) {
          await db.transaction().execute(async (trx) => {
            await set(trx, 'web.title', `m${change}`);
            await sleep(10);
            await setModel(trx, `m${change}`, `sk-m${change}-0123456789`);
            await set(trx, 'graph.max-concepts', change);
          });
          await sleep(150);
        }
        await soon(async () => (await site()).title === 'm119');
      } finally {
        changing = false;
      }
      const counts = await Promise.all(watchers);
      await Promise.all(askers);

      expect(counts).toHaveLength(200);
      const during = [...seen.keys()]
        .map((shown) => shown.split(','))
        .filter(([, title]) => title !== 'Knowledge graph');
      for (const [model, title, concepts] of during) expect([title, `m${concepts}`]).toEqual([model, model]);
      expect(during.length).toBeGreaterThan(2);
      // One configuration, one version.
      expect(new Set(seen.values()).size).toBe(seen.size);
      const asked = ai.calls.slice(calls).filter(({ model }) => model !== 'fast');
      expect(asked.length).toBeGreaterThan(2);
      for (const { model, keySha256 } of asked) expect(keySha256).toBe(sha256(`sk-${model}-0123456789`));
      await db.deleteFrom('kg_api.platform_settings').where('key', '<>', 'object_store').execute();
      await soon(async () => (await site()).title === 'Knowledge graph');
    });

    test('users: what is new counts for tokens that are out', async () => {
      await setUser('bea', 'user');
      // At once: a login waits until the configuration in force knows the user.
      const { access_token } = await logIn('bea');
      const call = as(access_token);
      expect((await call('GET', '/graph')).status).toBe(200);
      expect((await call('GET', '/config')).status).toBe(403);

      const change = (values: Updateable<Tables['kg_api.users']>) =>
        db.updateTable('kg_api.users').set(values).where('username', '=', 'bea').execute();
      await change({ role: 'admin' });
      await soon(async () => (await call('GET', '/config')).status === 200);
      await change({ disabled_at: new Date() });
      await soon(async () => (await call('GET', '/graph')).status === 401);
      expect((await logIn('bea')).status).toBe(400);
      await change({ disabled_at: null });
      await soon(async () => (await call('GET', '/graph')).status === 200);
      await change({ password_hash: await hashPassword('another password'), password_set_at: new Date() });
      await soon(async () => (await call('GET', '/graph')).status === 401);
      const again = as((await logIn('bea', 'another password')).access_token);
      expect((await again('GET', '/graph')).status).toBe(200);
      await db.deleteFrom('kg_api.users').where('username', '=', 'bea').execute();
      await soon(async () => (await again('GET', '/graph')).status === 401);
    });

    test('a user sets a new password: recorded, old tokens end, the answer has a new one', async () => {
      await setUser('cyd', 'user');
      const { access_token } = await logIn('cyd');
      const call = as(access_token);
      const next = 'a password of my own';
      expect((await call('POST', '/password', { current: 'wrong', new: next })).status).toBe(400);
      const refused = await call('POST', '/password', { current: PASSWORD, new: 'cyd-2026-2026' });
      expect([refused.status, refused.body.error.code]).toEqual([400, 'password_refused']);
      const { status, body } = await call('POST', '/password', { current: PASSWORD, new: next });
      expect([status, body.token_type]).toEqual([200, 'Bearer']);
      expect((await call('GET', '/graph')).status).toBe(401);
      expect((await as(body.access_token)('GET', '/graph')).status).toBe(200);
      expect([(await logIn('cyd')).status, (await logIn('cyd', next)).status]).toEqual([400, 200]);

      const history = await db.selectFrom('kg_api.config_history').selectAll().execute();
      const { password_hash } = await db
        .selectFrom('kg_api.users')
        .select('password_hash')
        .where('username', '=', 'cyd')
        .executeTakeFirstOrThrow();
      const common = { role: 'user', disabled: false, source: null };
      expect(history).toEqual([
        expect.objectContaining({
          actor: 'api:cyd',
          topic: 'admin',
          action: 'update',
          subject: 'cyd',
          before: { ...common, password: passwordFingerprint(passwordHash) },
          after: { ...common, password: passwordFingerprint(password_hash) },
        }),
      ]);
      expect(lines.join()).not.toContain(next);
    });

    test('the signing key before is accepted until its end', async () => {
      const old = await new SignJWT({ role: 'admin' })
        .setProtectedHeader({ alg: 'HS256', typ: 'JWT' }) // as version 0.1.0 issued them
        .setIssuer('kg-operator')
        .setAudience('kg-api')
        .setSubject('ada')
        .setIssuedAt(Math.ceil(Date.now() / 1000))
        .setExpirationTime('1h')
        .sign(Buffer.from(PREVIOUS_KEY, 'hex'));
      const call = as(old);
      expect((await call('GET', '/graph')).status).toBe(401);
      const provider = 'oauth-signing-key/previous';
      const { keyId: key_id, ciphertext } = sealCredential(
        ENCRYPTION_KEY,
        provider,
        new Secret(PREVIOUS_KEY),
      );
      const expires_at = new Date(Date.now() + TAKE_UP_MS + 3_000);
      await db
        .insertInto('kg_api.system_api_keys')
        .values({ provider, key_id, ciphertext, expires_at })
        .execute();
      await soon(async () => (await call('GET', '/graph')).status === 200);
      await sleep(expires_at.getTime() - Date.now() + 50);
      expect((await call('GET', '/graph')).status).toBe(401);
      await db.deleteFrom('kg_api.system_api_keys').where('provider', '=', provider).execute();
    });

    test('a configuration that cannot be taken up: the last good one stays, /ready says so, the log once', async () => {
      const call = as((await logIn('ada')).access_token);
      const { version } = (await call('GET', '/config')).body;
      const check = async () => {
        const { body } = await as('')('GET', '/ready');
        return body.checks.find((one: { name: string }) => one.name === 'configuration');
      };
      expect(await check()).toEqual({ name: 'configuration', ok: true, message: 'ok' });
      await set(db, 'auth.token-lifetime', 'for ever');
      await soon(async () => (await check()).message !== 'ok');
      expect(await check()).toMatchObject({
        ok: true,
        message: expect.stringMatching(/last good.*auth\.token-lifetime must be a whole number/),
      });
      await sleep(2_500);
      expect((await call('GET', '/config')).body.version).toBe(version);
      const told = entries().filter(({ message }) => message.includes('not taken up'));
      expect(told).toHaveLength(1);
      await db.deleteFrom('kg_api.platform_settings').where('key', '=', 'auth.token-lifetime').execute();
      await soon(
        async () =>
          (await check()).message === 'ok' && (await call('GET', '/config')).body.version !== version,
      );
      expect(entries().some(({ message }) => message.includes('in force again'))).toBe(true);
    });

    // The last one: from here on credentials are sealed with another key.
    test('a rotation of ENCRYPTION_KEY: the process that has the one before goes on, and follows changes', async () => {
      const next = new Secret('f2'.repeat(32));
      const call = as((await logIn('ada')).access_token);
      await changeConfig(db, (trx) => rotateEncryptionKey(trx, ENCRYPTION_KEY, next));
      const key = 'sk-after-0123456789';
      await db.transaction().execute((trx) => setModel(trx, 'after', key, next));
      await soon(async () => (await call('GET', '/config')).body.ai.model === 'after');
      await changeConfig(db, (trx) => finishRotation(trx));
      await set(db, 'web.title', 'Finished');
      await soon(async () => (await site()).title === 'Finished');
      expect((await call('POST', '/extract', { text: 'Ada met Bob.' })).status).toBe(200);
      expect(ai.last).toMatchObject({ model: 'after', keySha256: sha256(key) });
      expect((await as('')('GET', '/ready')).body).toMatchObject({ ready: true });
    });
  });
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
