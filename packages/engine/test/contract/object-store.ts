import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type ObjectStoreSettings, openCredential, Secret } from '@kg-operator/config';
import { type GarageAdmin, garageAdmin } from '../../src/adapters/garage.ts';
import { configureObjectStore } from '../../src/config/garage.ts';
import { rotateGarageKey } from '../../src/config/garage-key.ts';
import { garageStatus } from '../../src/config/garage-status.ts';
import { type EmbeddedDatabase, migratedDatabase } from '../embedded-database.ts';

/** A Garage that nobody has configured; `close` also removes it. */
export interface FreshGarage {
  admin: GarageAdmin;
  /** The secret of a key, as the store knows it. */
  secretOf(accessKeyId: string): Promise<string | undefined>;
  keyIds(): Promise<string[]>;
  /** Whether the key opens the bucket over S3. */
  opensBucket(settings: ObjectStoreSettings, secretAccessKey: Secret): Promise<boolean>;
  close(): Promise<void>;
}

const encryptionKey = new Secret('a1'.repeat(32));
const input = { encryptionKey, endpoint: 'http://garage:3900', actor: 'tester' };
const BUCKET = 'kg-documents';
const WRITES = ['assignNode', 'importKey', 'createBucket', 'allowKey'] as const;

/** The connection is lost once: after `method` took effect, and before its answer arrived. */
function interruptedAfter(admin: GarageAdmin, method: keyof GarageAdmin): GarageAdmin {
  let pending = true;
  return new Proxy(admin, {
    get(target, name: keyof GarageAdmin) {
      return async (...parameters: unknown[]) => {
        const result = await (target[name] as (...all: unknown[]) => Promise<unknown>)(...parameters);
        if (name !== method || !pending) return result;
        pending = false;
        throw new Error(`lost the answer of ${name}`);
      };
    },
  });
}

/** Counts the calls that change something. */
function counted(admin: GarageAdmin): { admin: GarageAdmin; writes: () => number } {
  let writes = 0;
  const proxy = new Proxy(admin, {
    get(target, name: keyof GarageAdmin) {
      if ((WRITES as readonly string[]).includes(name)) writes += 1;
      return target[name];
    },
  });
  return { admin: proxy, writes: () => writes };
}

/** How object storage is bootstrapped, on the fake of the other tests and on the real thing. */
export function objectStoreContract(name: string, open: () => Promise<FreshGarage>): void {
  describe(`config garage, on ${name}`, () => {
    let database: EmbeddedDatabase;
    let garage: FreshGarage;
    beforeAll(async () => {
      database = await migratedDatabase();
    });
    afterAll(() => database.close());
    beforeEach(async () => {
      await database.session.query(
        'TRUNCATE kg_api.system_api_keys, kg_api.platform_settings, kg_api.config_history, kg_api.key_fingerprint',
      );
      garage = await open();
    });
    afterEach(() => garage.close());

    const configure = (admin = garage.admin) => configureObjectStore(database.db, admin, input);

    const storedSecret = async () => {
      const { ciphertext } = await database.db
        .selectFrom('kg_api.system_api_keys')
        .select('ciphertext')
        .where('provider', '=', 'garage')
        .executeTakeFirstOrThrow();
      return openCredential(encryptionKey, 'garage', ciphertext);
    };

    /** One node with a role, one bucket, our key on it and nobody else, and the secret that is stored. */
    async function expectReady(accessKeyId: string, admin = garage.admin): Promise<void> {
      expect((await admin.clusterStatus()).nodes).toEqual([
        expect.objectContaining({ hasRole: true, isUp: true }),
      ]);
      const bucket = await admin.findBucket(BUCKET);
      expect(bucket?.keys).toEqual([{ accessKeyId, read: true, write: true, owner: false }]);
      expect(await garage.secretOf(accessKeyId)).toBe(await storedSecret());
    }

    test('untouched: layout, key, bucket, permission; a second run changes nothing', async () => {
      expect((await garage.admin.clusterStatus()).nodes).toEqual([
        expect.objectContaining({ hasRole: false }),
      ]);
      const first = await configure();
      expect(first.changed).toBe(true);
      await expectReady(first.accessKeyId);

      const watched = counted(garage.admin);
      expect(await configure(watched.admin)).toEqual({ ...first, changed: false });
      expect(watched.writes()).toBe(0);
    });

    test('what a bucket is set to can be read, and set on another one', async () => {
      const { accessKeyId } = await configure();
      const admin = garage.admin;
      const untouched = {
        globalAliases: [BUCKET],
        website: null,
        quotas: { maxSize: null, maxObjects: null },
        keys: [
          expect.objectContaining({ accessKeyId, permissions: { read: true, write: true, owner: false } }),
        ],
      };
      expect(await admin.bucketSettings(BUCKET)).toEqual(untouched);
      const set = {
        website: { indexDocument: 'start.html', errorDocument: 'oh.html' },
        quotas: { maxSize: 1_000_000, maxObjects: null },
      };
      const { id } = await admin.createBucket('another');
      await admin.setBucket(id, set);
      expect(await admin.bucketSettings('another')).toEqual({ ...set, globalAliases: ['another'], keys: [] });
      await admin.setBucket(id, { website: null, quotas: untouched.quotas });
      expect(await admin.bucketSettings('another')).toMatchObject({
        website: null,
        quotas: untouched.quotas,
      });
      expect(await admin.bucketSettings('nothing')).toBeNull();
    });

    test('the disk of the node is told', async () => {
      await configure();
      const { nodes } = await garage.admin.clusterStatus();
      expect(nodes[0]?.disk?.total).toBeGreaterThan(nodes[0]?.disk?.available ?? Number.POSITIVE_INFINITY);
    });

    test.each(WRITES)('cut off after %s: the next run completes it with the same key', async (method) => {
      await expect(configure(interruptedAfter(garage.admin, method))).rejects.toThrow(`answer of ${method}`);
      const again = await configure();
      await expectReady(again.accessKeyId);
      expect(await configure()).toEqual({ ...again, changed: false });
    });

    test('a new Garage, its volume lost: the key that the platform knows is given to it again', async () => {
      const before = await configure();
      const secret = await storedSecret();
      await garage.close();
      garage = await open();
      const after = await configure();
      expect(after).toEqual({ ...before, changed: true });
      expect(await storedSecret()).toBe(secret);
      await expectReady(before.accessKeyId);
    });

    describe('config garage rotate-key', () => {
      const rotate = (change: Partial<Parameters<typeof rotateGarageKey>[2]> = {}, admin = garage.admin) =>
        rotateGarageKey(database.db, admin, {
          encryptionKey,
          actor: 'tester',
          opensBucket: garage.opensBucket,
          untilTakenUp: async () => undefined,
          ...change,
        });
      const storedRows = async () =>
        (
          await database.db
            .selectFrom('kg_api.system_api_keys')
            .select('provider')
            .orderBy('provider')
            .execute()
        ).map(({ provider }) => provider);

      /** One key of ours, which is the stored one, and nothing of a rotation. */
      async function expectOneKey(before: string): Promise<string> {
        const { accessKeyId, ...rest } = await configure();
        expect(rest.changed).toBe(false);
        expect(accessKeyId).not.toBe(before);
        await expectReady(accessKeyId);
        expect(await garage.keyIds()).toEqual([accessKeyId]);
        expect(await storedRows()).toEqual(['garage']);
        expect(await garageStatus(database.db, () => garage.admin)).toMatchObject({
          store: 'garage',
          reachable: true,
          rotating: false,
          accessKeyId,
          bucket: { keyAllowed: true },
        });
        return accessKeyId;
      }

      test('the new key is in use, the one before gone, and the history says so', async () => {
        const before = await configure();
        const secretBefore = new Secret(await storedSecret());
        const seen: string[][] = [];
        const rotated = await rotate({
          untilTakenUp: async () => {
            // Whoever has not taken it up yet still works.
            expect(await garage.opensBucket(before, secretBefore)).toBe(true);
            seen.push(await storedRows());
          },
        });
        expect(rotated.retired).toBe(before.accessKeyId);
        expect(seen).toEqual([['garage', `garage/retiring/${before.accessKeyId}`]]);
        expect(await expectOneKey(before.accessKeyId)).toBe(rotated.accessKeyId);
        expect(await garage.opensBucket(before, secretBefore)).toBe(false);
        const history = await database.db
          .selectFrom('kg_api.config_history')
          .selectAll()
          .where('action', '=', 'rotate')
          .execute();
        expect(history).toEqual([
          expect.objectContaining({
            actor: 'tester',
            topic: 'garage',
            before: { accessKeyId: before.accessKeyId },
            after: { accessKeyId: rotated.accessKeyId },
          }),
        ]);
      });

      const cut = async () => {
        throw new Error('cut off');
      };
      test.each(['importKey', 'allowKey', 'findKey', 'deleteKey'] as const)(
        'cut off after %s: the next run completes that rotation',
        async (method) => {
          const { accessKeyId } = await configure();
          await expect(rotate({}, interruptedAfter(garage.admin, method))).rejects.toThrow(
            `answer of ${method}`,
          );
          const ours = (await garage.keyIds()).length;
          expect(ours).toBeLessThanOrEqual(2);
          expect((await rotate()).retired).toBe(accessKeyId);
          await expectOneKey(accessKeyId);
        },
      );

      test.each([1, 2])('cut off while it asks over S3, the %i. time', async (time) => {
        const { accessKeyId } = await configure();
        let asked = 0;
        const opensBucket = (...parameters: Parameters<typeof garage.opensBucket>) => {
          asked += 1;
          return asked === time ? cut() : garage.opensBucket(...parameters);
        };
        await expect(rotate({ opensBucket })).rejects.toThrow('cut off');
        expect((await rotate()).retired).toBe(accessKeyId);
        await expectOneKey(accessKeyId);
      });

      test('cut off while it waits for the API: both keys work meanwhile', async () => {
        const before = await configure();
        const secretBefore = new Secret(await storedSecret());
        await expect(rotate({ untilTakenUp: cut })).rejects.toThrow('cut off');
        expect(await garage.opensBucket(before, secretBefore)).toBe(true);
        const { accessKeyId } = await configure();
        expect(await garage.opensBucket({ ...before, accessKeyId }, new Secret(await storedSecret()))).toBe(
          true,
        );
        expect((await garageStatus(database.db, () => garage.admin)).rotating).toBe(true);
        await rotate();
        expect(await expectOneKey(before.accessKeyId)).toBe(accessKeyId);
      });

      test('before there is one: refused', async () => {
        await expect(rotate()).rejects.toMatchObject({
          code: 'NO_GARAGE_KEY',
          hint: './operator.sh config garage',
        });
      });

      test('an unreachable Garage is an answer of status', async () => {
        await configure();
        const nobody = garageAdmin('http://127.0.0.1:9', new Secret('e'.repeat(64)));
        expect(await garageStatus(database.db, () => nobody)).toMatchObject({
          reachable: false,
          reason: expect.stringContaining("can't be reached"),
          bucket: null,
        });
      });
    });

    test('what is not there is null, not an error', async () => {
      await configure();
      expect(await garage.admin.findKey(`GK${'0'.repeat(24)}`)).toBeNull();
      expect(await garage.admin.findBucket('no-such-bucket')).toBeNull();
    });
  });
}
