import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Kysely } from 'kysely';
import {
  credentialFingerprint,
  finishRotation,
  keyIdOf,
  loadConfig,
  openCredential,
  openDatabase,
  openEveryCredential,
  readConfigState,
  resolveEncryptionKey,
  rotateEncryptionKey,
  Secret,
  sealCredential,
  type Tables,
} from '../../src/index.ts';
import { applyMigrations, clear, configure, KEY, storeCredential, type TestDatabase } from './database.ts';

const NEW = new Secret('b2'.repeat(32));
const THIRD = new Secret('c3'.repeat(32));

/** The rotation of ENCRYPTION_KEY on a database, embedded or not. */
export function rotationContract(name: string, open: () => Promise<TestDatabase>): void {
  describe(`rotation of ENCRYPTION_KEY, ${name}`, () => {
    let database: TestDatabase;
    let db: Kysely<Tables>;
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
    });

    const rotate = (from: Secret, to: Secret) =>
      db.transaction().execute((trx) => rotateEncryptionKey(trx, from, to));
    const finish = () => db.transaction().execute((trx) => finishRotation(trx));
    const version = async () => (await readConfigState(db)).version;
    const credentials = () =>
      db.selectFrom('kg_api.system_api_keys').selectAll().orderBy('provider').execute();

    test('every credential opens with the new key alone, and who has the old one goes over the bridge', async () => {
      const before = await credentials();
      expect(await rotate(KEY, NEW)).toEqual({ resealed: 2 });
      for (const row of await credentials()) {
        expect(row.key_id).toBe(keyIdOf(NEW));
        const plaintext = openCredential(NEW, row.provider, row.ciphertext);
        expect(plaintext).toMatch(/^(garage-secret|sk-openai)$/);
        expect(row.fingerprint).toBe(credentialFingerprint(NEW, plaintext));
        expect(row.updated_at).toEqual(before.find(({ provider }) => provider === row.provider)?.updated_at);
      }
      for (const key of [KEY, NEW]) {
        expect((await resolveEncryptionKey(db, key)).reveal()).toBe(NEW.reveal());
        expect((await loadConfig(db, key)).ai.apiKey?.reveal()).toBe('sk-openai');
        expect((await openEveryCredential(db, key)).map(({ ok }) => ok)).toEqual([true, true]);
      }
      expect(await readConfigState(db)).toMatchObject({ keyId: keyIdOf(NEW), previousKeyId: keyIdOf(KEY) });
      for (const use of [resolveEncryptionKey, loadConfig])
        await expect(use(db, THIRD)).rejects.toMatchObject({
          name: 'WrongEncryptionKey',
          storedKeyId: keyIdOf(NEW),
        });
    });

    test('what an old process writes over the bridge outlives the end of the rotation', async () => {
      await rotate(KEY, NEW);
      const key = await resolveEncryptionKey(db, KEY);
      await storeCredential(db, 'openai', 'sk-later', { key });
      expect(await finish()).toEqual({ finished: true });
      expect((await loadConfig(db, NEW)).ai.apiKey?.reveal()).toBe('sk-later');
      await expect(loadConfig(db, KEY)).rejects.toMatchObject({ name: 'WrongEncryptionKey' });
    });

    test('each step again changes nothing, not even the version', async () => {
      await rotate(KEY, NEW);
      const [rotated, rows] = [await version(), await credentials()];
      expect(await rotate(KEY, NEW)).toEqual({ resealed: 0 });
      expect(await rotate(NEW, NEW)).toEqual({ resealed: 0 });
      expect([await version(), await credentials()]).toEqual([rotated, rows]);
      await finish();
      const finished = await version();
      expect(await finish()).toEqual({ finished: false });
      expect(await rotate(KEY, NEW)).toEqual({ resealed: 0 });
      expect(await version()).toBe(finished);
    });

    test('no third key while the bridge stands; after the end, the next rotation', async () => {
      await rotate(KEY, NEW);
      for (const from of [KEY, NEW])
        await expect(rotate(from, THIRD)).rejects.toMatchObject({
          name: 'RotationUnfinished',
          previousKeyId: keyIdOf(KEY),
          keyId: keyIdOf(NEW),
        });
      await finish();
      await expect(rotate(KEY, THIRD)).rejects.toMatchObject({ name: 'WrongEncryptionKey' });
      expect(await rotate(NEW, THIRD)).toEqual({ resealed: 2 });
      expect((await loadConfig(db, NEW)).ai.apiKey?.reveal()).toBe('sk-openai');
    });

    test('a credential that does not open stops it, named, and nothing has changed', async () => {
      const foreign = sealCredential(KEY, 'anthropic', new Secret('sk-moved'));
      await db
        .updateTable('kg_api.system_api_keys')
        .set({ ciphertext: foreign.ciphertext })
        .where('provider', '=', 'openai')
        .execute();
      const before = [await credentials(), await readConfigState(db)];
      await expect(rotate(KEY, NEW)).rejects.toMatchObject({ name: 'CredentialUnreadable', row: 'openai' });
      expect([await credentials(), await readConfigState(db)]).toEqual(before);
    });

    test('a bridge that was altered is named', async () => {
      await rotate(KEY, NEW);
      const { bridge } = await db
        .selectFrom('kg_api.key_fingerprint')
        .select('bridge')
        .executeTakeFirstOrThrow();
      const altered = Buffer.from(bridge as Uint8Array);
      altered[40] = (altered[40] as number) ^ 1;
      await db.updateTable('kg_api.key_fingerprint').set({ bridge: altered }).execute();
      await expect(loadConfig(db, KEY)).rejects.toMatchObject({
        name: 'CredentialUnreadable',
        row: 'kg_api.key_fingerprint/bridge',
      });
      expect((await loadConfig(db, NEW)).ai.apiKey?.reveal()).toBe('sk-openai');
    });

    test('before the first credential too, the new key is the one from then on', async () => {
      await clear(db);
      expect(await rotate(KEY, NEW)).toEqual({ resealed: 0 });
      expect((await resolveEncryptionKey(db, KEY)).reveal()).toBe(NEW.reveal());
      await expect(resolveEncryptionKey(db, THIRD)).rejects.toMatchObject({ name: 'WrongEncryptionKey' });
    });

    test('undo does not reach behind it', async () => {
      expect(await db.selectFrom('kg_api.config_undo').select('id').execute()).not.toEqual([]);
      await rotate(KEY, NEW);
      expect(await db.selectFrom('kg_api.config_undo').select('id').execute()).toEqual([]);
    });

    test('a thousand credentials take seconds at most, and readers with either key never fail meanwhile', async () => {
      const rows = Array.from({ length: 1000 }, (_, index) => {
        const provider = `provider-${index}`;
        const { keyId, ciphertext } = sealCredential(KEY, provider, new Secret(`sk-${index}`));
        return { provider, key_id: keyId, ciphertext };
      });
      await db.insertInto('kg_api.system_api_keys').values(rows).execute();
      await loadConfig(db, KEY);
      let rotating = true;
      const reading = (async () => {
        let loads = 0;
        for (; rotating; loads++) expect((await loadConfig(db, KEY)).ai.apiKey?.reveal()).toBe('sk-openai');
        return loads;
      })();
      const start = performance.now();
      expect(await rotate(KEY, NEW)).toEqual({ resealed: 1002 });
      const ms = performance.now() - start;
      rotating = false;
      expect(await reading).toBeGreaterThan(0);
      expect((await openEveryCredential(db, NEW)).every(({ ok }) => ok)).toBe(true);
      expect(ms).toBeLessThan(10_000);
    });
  });
}
