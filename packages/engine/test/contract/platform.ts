import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createPlatform } from '@kg-operator/api';
import { type ConnectionSettings, loadConfig, openDatabase, Secret, type Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { setUser } from '../../src/config/admin.ts';
import { setAiProvider } from '../../src/config/ai-provider.ts';
import { setEmbedding } from '../../src/config/embedding.ts';
import { configureFileStore } from '../../src/config/file-store.ts';
import { ensureFingerprint } from '../../src/config/fingerprint.ts';
import { observeDatabase } from '../../src/database/observe.ts';
import { openSession } from '../../src/database/session.ts';
import { readMigrations } from '../../src/migrations/files.ts';
import { migrate } from '../../src/migrations/migrate.ts';

export interface EmptyServer {
  settings: ConnectionSettings;
  close(): Promise<void>;
}

const encryptionKey = new Secret('a1'.repeat(32));
const signingKey = new Secret('c3'.repeat(32));
const password = 'correct horse battery';
const actor = 'tester';

/** From an empty database to an API that answers: the order of the layers, and what each leaves, on anything the platform runs on. */
export function platformContract(name: string, open: () => Promise<EmptyServer>): void {
  describe(`the layers and the API, on ${name}`, () => {
    const dataDirectory = mkdtempSync(join(tmpdir(), 'kg-contract-'));
    let server: EmptyServer;
    let db: Kysely<Tables>;
    beforeAll(async () => {
      server = await open();
      db = openDatabase(server.settings);
    }, 120_000);
    const platforms: Awaited<ReturnType<typeof createPlatform>>[] = [];
    afterAll(async () => {
      for (const platform of platforms) await platform.close();
      await db.destroy();
      await server.close();
      rmSync(dataDirectory, { recursive: true });
    });

    async function start() {
      const platform = await createPlatform({
        version: 'test',
        db,
        connection: server.settings,
        encryptionKey,
        signingKey,
        dataDirectory,
        log: () => undefined,
        onSecrets: () => undefined,
        shutdown: new AbortController().signal,
      });
      platforms.push(platform);
      return platform;
    }

    async function client() {
      const { app } = await start();
      const login = await app.request('/oauth/token', {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ grant_type: 'password', username: 'admin', password }).toString(),
      });
      expect(login.status).toBe(200);
      const { access_token } = (await login.json()) as { access_token: string };
      return async (method: string, path: string, body?: unknown) => {
        const response = await app.request(path, {
          method,
          headers: { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        return { status: response.status, body: (await response.json()) as Record<string, never[]> };
      };
    }

    test('1 schema: without it the API does not start, and what is pending is seen', async () => {
      await expect(start()).rejects.toMatchObject({ name: 'SchemaMissing' });
      const ids = (await readMigrations()).map(({ id }) => id);
      expect(await observeDatabase(server.settings)).toMatchObject({
        reachable: true,
        schema: { head: null, pending: ids },
        config: null,
      });
      const session = await openSession(server.settings);
      const applied = await migrate(session, await readMigrations(), { engineVersion: 'test' });
      expect(applied.map(({ id }) => id)).toEqual(ids);
      await session.close();
      expect(await observeDatabase(server.settings)).toMatchObject({
        schema: { head: ids.at(-1), pending: [] },
      });
    });

    test('2 configuration: the API does not start before it is complete', async () => {
      await ensureFingerprint(db, encryptionKey);
      await setUser(db, { username: 'admin', password: new Secret(password), actor });
      await setAiProvider(db, { provider: 'local', actor });
      await expect(start()).rejects.toMatchObject({
        missing: [{ item: 'embedding provider' }, { item: 'object storage' }],
      });
      await setEmbedding(db, { provider: 'local', model: 'e', dimensions: 8, actor });
      await configureFileStore(db, { actor });
      expect(await configureFileStore(db, { actor })).toMatchObject({ changed: false });
      expect(await loadConfig(db, encryptionKey)).toMatchObject({ objectStore: { secretAccessKey: null } });
    });

    test('another encryption key is refused', async () => {
      await expect(loadConfig(db, new Secret('b2'.repeat(32)))).rejects.toMatchObject({
        name: 'WrongEncryptionKey',
      });
    });

    test('3 the API: a login, a text stored and read, its graph', async () => {
      const call = await client();
      expect(await call('GET', '/ready')).toMatchObject({ status: 200, body: { ready: true } });
      const text = 'Grace Hopper built the first Compiler for Univac.\n';
      const extracted = await call('POST', '/extract', { title: 'Hopper', text });
      expect(extracted).toMatchObject({
        status: 200,
        body: { newConcepts: 3, newRelations: 2, relations: [{ from: 'Grace Hopper', to: 'Compiler' }, {}] },
      });
      const { id } = extracted.body.document as unknown as { id: string };
      expect(await call('GET', `/documents/${id}`)).toMatchObject({ status: 200, body: { text } });
      const graph = await call('GET', '/graph');
      expect(graph.body.nodes).toHaveLength(3);
      expect(graph.body.edges).toHaveLength(2);
    });

    test('many at once: every text is stored, every concept and relation is there once', async () => {
      const call = await client();
      const before = (await call('GET', '/graph')).body;
      const answers = await Promise.all(
        Array.from({ length: 12 }, (_, n) =>
          call('POST', '/extract', {
            title: `Twelve ${n}`,
            text: `We know Ada Lovelace met Charles Babbage. Number ${n}.`,
          }),
        ),
      );
      expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 12 }, () => 200));
      const after = (await call('GET', '/graph')).body;
      expect(after.nodes?.length).toBe((before.nodes?.length ?? 0) + 2);
      expect(after.edges?.length).toBe((before.edges?.length ?? 0) + 1);
      expect((await call('GET', '/documents')).body.documents).toHaveLength(13);
    });

    test('a transaction that fails leaves nothing, while others go on', async () => {
      const failing = db.transaction().execute(async (trx) => {
        await setProvider(trx);
        throw new Error('changed my mind');
      });
      const others = Promise.all(Array.from({ length: 5 }, () => loadConfig(db, encryptionKey)));
      await expect(failing).rejects.toThrow('changed my mind');
      for (const config of await others) expect(config.ai.provider).toBe('local');
      expect((await loadConfig(db, encryptionKey)).ai.provider).toBe('local');

      async function setProvider(trx: Kysely<Tables>) {
        await trx.updateTable('kg_api.ai_provider_config').set({ model: 'other' }).execute();
      }
    });

    test('everything is there over new connections', async () => {
      await db.destroy();
      db = openDatabase(server.settings);
      const call = await client();
      expect((await call('GET', '/graph')).body.nodes).toHaveLength(5);
    });
  });
}
