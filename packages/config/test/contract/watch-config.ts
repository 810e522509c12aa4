import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Kysely } from 'kysely';
import { until } from '../../../../test/e2e/wait.ts';
import {
  type ConfigWatch,
  finishRotation,
  loadConfig,
  openDatabase,
  type PlatformConfig,
  rotateEncryptionKey,
  Secret,
  type Tables,
  type WatchOptions,
  watchConfig,
} from '../../src/index.ts';
import { applyMigrations, clear, configure, KEY, storeCredential, type TestDatabase } from './database.ts';
import { proxyTo, type TcpProxy } from './proxy.ts';

/**
 * watchConfig() on a database. `listens`: it has LISTEN, so that polling, once a minute here, is not what notices a change. Otherwise the
 * version is looked at every 50 ms.
 */
export function watchConfigContract(
  name: string,
  open: () => Promise<TestDatabase>,
  { listens }: { listens: boolean },
): void {
  const pollMs = listens ? 60_000 : 50;

  describe(`watchConfig, ${name}`, () => {
    let database: TestDatabase;
    let db: Kysely<Tables>;
    let proxy: TcpProxy;
    let watch: ConfigWatch | undefined;
    const errors: string[] = [];
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
      errors.length = 0;
      proxy = await proxyTo(database.settings);
    });
    afterEach(async () => {
      await watch?.close();
      watch = undefined;
      await proxy.close();
    });

    const start = async (options: WatchOptions = {}, key = KEY) => {
      const onError = (error: Error) => void errors.push(error.name);
      watch = await watchConfig(proxy.settings, key, { pollMs, onError, ...options });
      return watch;
    };
    const setModel = (model: string) =>
      db.updateTable('kg_api.ai_provider_config').set({ model }).where('active', '=', true).execute();
    const sees = (model: string, seconds = 10) =>
      until(`the watch has ${model}`, () => watch?.current().ai.model === model && !watch?.failure(), {
        seconds,
        everyMs: 2,
      });

    test('a change is there within two seconds, as a whole, and is told once', async () => {
      const told: PlatformConfig[] = [];
      const { current } = await start({ onChange: (config) => void told.push(config) });
      const before = current();
      await db.transaction().execute(async (trx) => {
        await trx
          .updateTable('kg_api.ai_provider_config')
          .set({ model: 'new' })
          .where('active', '=', true)
          .execute();
        await storeCredential(trx, 'openai', 'sk-new');
      });
      await sees('new', 2);
      expect(current().ai.apiKey?.reveal()).toBe('sk-new');
      expect(told).toEqual([current()]);
      expect([before.ai.model, before.ai.apiKey?.reveal()]).toEqual(['gpt-5-mini', 'sk-openai']);
      expect(errors).toEqual([]);
    });

    test('a lost connection is made again, and what happened meanwhile is caught up', async () => {
      await start();
      proxy.accept(false);
      proxy.cut();
      await until('the watch knows', () => watch?.failure() !== null, { everyMs: 2 });
      await setModel('meanwhile');
      expect(watch?.current().ai.model).toBe('gpt-5-mini');
      proxy.accept(true);
      proxy.cut();
      await sees('meanwhile');
      proxy.cut();
      await setModel('after');
      await sees('after');
      expect(errors.length).toBeGreaterThan(0);
    });

    test('a connection that only seems to live is noticed', async () => {
      await start({ pollMs: 50 });
      proxy.stall();
      await setModel('unheard');
      await sees('unheard');
      expect(proxy.total()).toBe(2);
    }, 20_000);

    test('a configuration that is not complete never replaces one that is; its end is noticed', async () => {
      await start({ pollMs: 50 });
      await db.deleteFrom('kg_api.embedding_config').execute();
      await until('the watch refuses it', () => watch?.failure()?.name === 'ConfigurationIncomplete');
      await setModel('half');
      await sleep(200);
      expect(watch?.current()).toMatchObject({ embedding: { model: 'nomic' }, ai: { model: 'gpt-5-mini' } });
      expect(errors).toEqual(['ConfigurationIncomplete']);
      await db
        .insertInto('kg_api.embedding_config')
        .values({ provider: 'local', model: 'later', dimensions: 768, active: true })
        .execute();
      await sees('half');
      expect(watch?.current().embedding.model).toBe('later');
      expect(proxy.total()).toBe(1);
    });

    test('what onChange refuses is not taken, and is tried again', async () => {
      let refuses = true;
      await start({
        pollMs: 50,
        onChange: () => {
          if (refuses) throw new RangeError('not this one');
        },
      });
      await setModel('refused');
      await until('the watch tells it', () => watch?.failure()?.name === 'RangeError');
      expect(watch?.current().ai.model).toBe('gpt-5-mini');
      refuses = false;
      await sees('refused');
      expect(errors).toEqual(['RangeError']);
    });

    test('who has the key from before a rotation reads on after its end', async () => {
      const next = new Secret('b2'.repeat(32));
      await start();
      await db.transaction().execute((trx) => rotateEncryptionKey(trx, KEY, next));
      await setModel('bridged');
      await sees('bridged');
      await db.transaction().execute((trx) => finishRotation(trx));
      await storeCredential(db, 'openai', 'sk-rotated', { key: next });
      await setModel('finished');
      await sees('finished');
      expect(watch?.current().ai.apiKey?.reveal()).toBe('sk-rotated');
    });

    test('close() leaves no connection, whatever is under way', async () => {
      await start();
      await watch?.close();
      await until('no connection is left', () => proxy.open() === 0, { seconds: 10, everyMs: 5 });
      await setModel('too late');
      await sleep(100);
      expect(watch?.current().ai.model).toBe('gpt-5-mini');
      for (let delay = 0; delay < 20; delay += 4) {
        await start({ pollMs: 1 });
        await setModel(`under way ${delay}`);
        await sleep(delay);
        await watch?.close();
        await until('no connection is left', () => proxy.open() === 0, { seconds: 10, everyMs: 5 });
      }
      await start();
      proxy.accept(false);
      proxy.cut();
      await sleep(20);
      const closing = performance.now();
      await watch?.close();
      expect(performance.now() - closing).toBeLessThan(1000);
      expect(errors.length).toBeLessThan(3);
    });

    test('no first configuration: the reason is thrown, and no connection is left', async () => {
      await expect(start({}, new Secret('b2'.repeat(32)))).rejects.toMatchObject({
        name: 'WrongEncryptionKey',
      });
      await db.deleteFrom('kg_api.users').execute();
      await expect(start()).rejects.toMatchObject({ name: 'ConfigurationIncomplete' });
      await until('no connection is left', () => proxy.open() === 0, { seconds: 10, everyMs: 5 });
      proxy.accept(false);
      await expect(start()).rejects.toThrow();
    });

    test('nobody ever sees a mix of two configurations', async () => {
      const isWhole = ({ ai, settings, users }: PlatformConfig) => {
        const number = ai.model;
        expect(ai.apiKey?.reveal()).toBe(number);
        expect(settings['web.title']).toBe(number);
        expect(users.map(({ username }) => username)).toContain(`user-${number}`);
      };
      const write = (number: string) =>
        db.transaction().execute(async (trx) => {
          await trx
            .updateTable('kg_api.ai_provider_config')
            .set({ model: number })
            .where('active', '=', true)
            .execute();
          const value = JSON.stringify(number);
          await trx
            .insertInto('kg_api.platform_settings')
            .values({ key: 'web.title', value })
            .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
            .execute();
          await storeCredential(trx, 'openai', number);
          await trx
            .updateTable('kg_api.users')
            .set({ username: `user-${number}` })
            .where('role', '=', 'user')
            .execute();
        });
      await write('0');
      let changes = 0;
      await start({
        pollMs: 5,
        onChange: (config) => {
          isWhole(config);
          changes += 1;
        },
      });
      let writing = true;
      const reading = Promise.all(
        [1, 2, 3].map(async () => {
          while (writing) {
            isWhole(await loadConfig(db, KEY));
            isWhole((watch as ConfigWatch).current());
          }
        }),
      );
      await Promise.all(
        [1, 2, 3, 4].map(async (writer) => {
          for (let turn = 0; turn < 25; turn++) await write(String(writer * 100 + turn));
        }),
      );
      writing = false;
      await reading;
      expect(changes).toBeGreaterThan(1);
      expect(errors).toEqual([]);
      const { ai } = await loadConfig(db, KEY);
      await sees(ai.model);
    });
  });
}
