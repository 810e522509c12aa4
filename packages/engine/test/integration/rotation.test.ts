import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  keyIdOf,
  openEveryCredential,
  PREVIOUS_SIGNING_KEY,
  resolveEncryptionKey,
  Secret,
} from '@kg-operator/config';
import { setApiKey } from '../../src/config/api-key.ts';
import { ensureFingerprint } from '../../src/config/fingerprint.ts';
import type { Renewal } from '../../src/model/rotation.ts';
import { encryptionKeyRotation } from '../../src/rotation/encryption-key.ts';
import { oauthKeyRotation } from '../../src/rotation/oauth-key.ts';
import type { RotationInput } from '../../src/rotation/rotation.ts';
import type { RunContext } from '../../src/run/context.ts';
import { type EmbeddedDatabase, migratedDatabase } from '../embedded-database.ts';

// PostgreSQL's password and Garage's secret need the real ones: test/e2e/rotation.test.ts.
const key = (digit: string) => new Secret(digit.repeat(64));
const [OLD, NEW, NEXT] = [key('1'), key('2'), key('3')];
const renewal = (name: string, from: Secret, to: Secret): Renewal => ({
  from: new Map([[name, from]]),
  to: new Map([[name, to]]),
});

let database: EmbeddedDatabase;
let asked: string[];
beforeAll(async () => {
  database = await migratedDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  asked = [];
  await database.session.query(
    'TRUNCATE kg_api.system_api_keys, kg_api.platform_settings, kg_api.config_history, kg_api.key_fingerprint, kg_api.config_undo',
  );
  await ensureFingerprint(database.db, OLD);
  for (const provider of ['openai', 'anthropic'])
    await setApiKey(database.db, {
      provider,
      key: new Secret(`sk-${provider}-0123456789`),
      encryptionKey: OLD,
      actor: 'tester',
    });
});

const input = (encryptionKey: Secret): RotationInput => ({
  context: {} as RunContext,
  db: database.db,
  encryptionKey,
  actor: 'os:tester',
  confirm: async (question) => void asked.push(question),
});
const rotations = async () =>
  database.db
    .selectFrom('kg_api.config_history')
    .select(['actor', 'subject', 'before', 'after'])
    .where('topic', '=', 'rotate')
    .orderBy('id')
    .execute();
const opens = async (with_: Secret) => (await openEveryCredential(database.db, with_)).every(({ ok }) => ok);

describe('encryption-key', () => {
  const rotate = renewal('ENCRYPTION_KEY', OLD, NEW);

  test('each part again changes nothing; the old key works until the end and not after it', async () => {
    await encryptionKeyRotation.check(input(OLD));
    for (let times = 0; times < 2; times++) {
      await encryptionKeyRotation.renew(input(OLD), rotate);
      expect(await opens(OLD)).toBe(true);
      expect(await opens(NEW)).toBe(true);
    }
    for (let times = 0; times < 2; times++) {
      await encryptionKeyRotation.retire(input(NEW), rotate);
      expect(await opens(NEW)).toBe(true);
      await expect(opens(OLD)).rejects.toThrow('ENCRYPTION_KEY is key');
    }
    expect(await rotations()).toEqual([
      {
        actor: 'os:tester',
        subject: 'encryption-key',
        before: { keyId: keyIdOf(OLD) },
        after: { keyId: keyIdOf(NEW) },
      },
    ]);
  });

  test('a rotation whose files were lost half way: the next one begins where the bridge leads', async () => {
    await encryptionKeyRotation.renew(input(OLD), rotate);
    const again = renewal('ENCRYPTION_KEY', OLD, NEXT);
    await encryptionKeyRotation.check(input(OLD));
    await encryptionKeyRotation.renew(input(OLD), again);
    expect(await opens(NEXT)).toBe(true);
    await encryptionKeyRotation.retire(input(NEXT), again);
    expect(keyIdOf(await resolveEncryptionKey(database.db, NEXT))).toBe(keyIdOf(NEXT));
    expect((await rotations()).map(({ before, after }) => [before, after])).toEqual([
      [{ keyId: keyIdOf(OLD) }, { keyId: keyIdOf(NEW) }],
      [{ keyId: keyIdOf(NEW) }, { keyId: keyIdOf(NEXT) }],
    ]);
  });

  test('a credential that does not open is named before anything is changed', async () => {
    await database.session.query(
      "UPDATE kg_api.system_api_keys SET ciphertext = set_byte(ciphertext, 40, get_byte(ciphertext, 40) # 1) WHERE provider = 'openai'",
    );
    await expect(encryptionKeyRotation.check(input(OLD))).rejects.toMatchObject({
      code: 'CREDENTIAL_UNREADABLE',
      exitCode: 4,
      details: [expect.stringMatching(/^openai: /)],
    });
    await expect(encryptionKeyRotation.renew(input(OLD), rotate)).rejects.toThrow('openai');
    expect(keyIdOf(await resolveEncryptionKey(database.db, OLD))).toBe(keyIdOf(OLD));
    expect(await rotations()).toEqual([]);
  });
});

describe('oauth-key', () => {
  const rotate = renewal('OAUTH_SIGNING_KEY', key('a'), key('b'));
  const expiresInSeconds = async () => {
    const { expires_at } = await database.db
      .selectFrom('kg_api.system_api_keys')
      .select('expires_at')
      .where('provider', '=', PREVIOUS_SIGNING_KEY)
      .executeTakeFirstOrThrow();
    return Math.round(((expires_at?.getTime() ?? 0) - Date.now()) / 1000);
  };

  test('the old key is kept for a day, and at the end for the lifetime of a token; one history row', async () => {
    await oauthKeyRotation.check(input(OLD));
    for (let times = 0; times < 2; times++) await oauthKeyRotation.renew(input(OLD), rotate);
    expect(await expiresInSeconds()).toBeGreaterThan(86_000);
    await database.db
      .insertInto('kg_api.platform_settings')
      .values({ key: 'auth.token-lifetime', value: '600' })
      .execute();
    for (let times = 0; times < 2; times++) await oauthKeyRotation.retire(input(OLD), rotate);
    expect(await expiresInSeconds()).toBeGreaterThan(590);
    expect(await expiresInSeconds()).toBeLessThanOrEqual(600);
    expect(await rotations()).toHaveLength(1);
    expect(JSON.stringify(await rotations())).not.toMatch(/a{64}|b{64}/);
    expect(asked).toEqual([]);
  });

  test('while the key before is still accepted a person is asked, and the older one goes', async () => {
    await oauthKeyRotation.renew(input(OLD), rotate);
    await oauthKeyRotation.retire(input(OLD), rotate);
    await oauthKeyRotation.check(input(OLD));
    expect(asked).toEqual([expect.stringContaining('must log in again')]);
    const again = renewal('OAUTH_SIGNING_KEY', key('b'), key('c'));
    await oauthKeyRotation.renew(input(OLD), again);
    await oauthKeyRotation.retire(input(OLD), again);
    expect(await rotations()).toHaveLength(2);
    expect(await opens(OLD)).toBe(true);
  });

  test('the kept key vanished meanwhile: said, not taken for done', async () => {
    await oauthKeyRotation.renew(input(OLD), rotate);
    await database.session.query('DELETE FROM kg_api.system_api_keys');
    await expect(oauthKeyRotation.retire(input(OLD), rotate)).rejects.toMatchObject({
      code: 'SIGNING_KEY_LOST',
    });
  });
});
