import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openCredential, openEveryCredential, Secret } from '@kg-operator/config';
import { addDestination, removeDestination } from '../../src/backup/destinations.ts';
import { changeBackupSettings, readBackupSettings } from '../../src/backup/settings.ts';
import { examineConfiguration, requireReadableCredentials } from '../../src/checks/configuration.ts';
import { showConfig } from '../../src/cli/show-config.ts';
import { setUser } from '../../src/config/admin.ts';
import { setAiProvider } from '../../src/config/ai-provider.ts';
import { readChanges } from '../../src/config/changes.ts';
import { toYaml } from '../../src/config/document.ts';
import { exportConfiguration } from '../../src/config/document-export.ts';
import { importConfiguration } from '../../src/config/document-import.ts';
import { parseConfiguration } from '../../src/config/document-parse.ts';
import { setEmbedding } from '../../src/config/embedding.ts';
import { configureFileStore } from '../../src/config/file-store.ts';
import { changeConfig, recordChange } from '../../src/config/history.ts';
import { setSetting, unsetSetting } from '../../src/config/settings.ts';
import { undo } from '../../src/config/undo.ts';
import { encryptionKeyRotation } from '../../src/rotation/encryption-key.ts';
import type { RunContext } from '../../src/run/context.ts';
import { type EmbeddedDatabase, migratedDatabase } from '../embedded-database.ts';

const [OLD, NEW] = [new Secret('1'.repeat(64)), new Secret('2'.repeat(64))];
const ID = '0'.repeat(16);
const SECRET_KEY = 'the-secret-key-of-a-bucket-0123456789';
const actor = 'os:tester';
const offsite = {
  name: 'offsite',
  type: 's3' as const,
  endpoint: 'https://s3.example.org',
  region: 'r',
  bucket: 'b',
  prefix: '',
  accessKeyId: 'AK',
};

let database: EmbeddedDatabase;
beforeAll(async () => {
  database = await migratedDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.session.query(
    `TRUNCATE kg_api.users, kg_api.ai_provider_config, kg_api.embedding_config, kg_api.system_api_keys, kg_api.embeddings,
              kg_api.platform_settings, kg_api.config_history, kg_api.config_undo, kg_api.key_fingerprint`,
  );
  const { db } = database;
  await setUser(db, { username: 'admin', password: new Secret('the first phrase of mine'), actor });
  await setAiProvider(db, { provider: 'local', actor });
  await setEmbedding(db, { provider: 'local', actor });
  await configureFileStore(db, { actor });
  await changeBackupSettings(db, { actor }, 'schedule', (settings) => ({
    ...settings,
    schedule: { cron: '30 3 * * *', jitterSeconds: 600 },
  }));
  await add();
});

const add = (key = SECRET_KEY) =>
  addDestination(database.db, { destination: offsite, key: new Secret(key), encryptionKey: OLD, actor });
const names = async () => (await readBackupSettings(database.db)).destinations.map(({ name }) => name);
const secretKey = async (key = OLD) => {
  const row = await database.db
    .selectFrom('kg_api.system_api_keys')
    .select('ciphertext')
    .where('provider', '=', 'backup/offsite')
    .executeTakeFirst();
  return row && openCredential(key, 'backup/offsite', row.ciphertext);
};

describe('backup settings among the rest of the configuration', () => {
  test('config show has them, no secret, and finds nothing wrong', async () => {
    const report = await examineConfiguration(database.db, { id: ID, key: OLD });
    expect(report.findings).toEqual([]);
    expect(report.ready).toBe(true);
    expect(report.backup).toMatchObject({ schedule: { cron: '30 3 * * *' }, retention: null });
    expect(report.apiKeys).toEqual([
      expect.objectContaining({ provider: 'backup/offsite', opens: true, neededBy: 'backups to offsite' }),
    ]);
    const shown = showConfig(report);
    for (const words of ['30 3 * * *', 'bucket b at https://s3.example.org', 'recovery kit'])
      expect(shown).toContain(words);
    expect(shown + JSON.stringify(report)).not.toContain(SECRET_KEY);
  });

  test('a damaged credential of a destination is named with the command that mends it, and keeps nothing from starting', async () => {
    await database.session.query(
      "UPDATE kg_api.system_api_keys SET ciphertext = '\\x00' WHERE provider = 'backup/offsite'",
    );
    const { findings } = await examineConfiguration(database.db, { id: ID, key: OLD });
    expect(findings).toEqual([
      expect.objectContaining({ fix: './operator.sh backup destination add offsite' }),
    ]);
    expect(await requireReadableCredentials(database.db, OLD)).toHaveLength(1);
  });

  test('config unset does not take them for a setting', async () => {
    await expect(unsetSetting(database.db, { name: 'backup', actor })).rejects.toMatchObject({
      code: 'SETTING_UNKNOWN',
    });
    expect(await names()).toEqual(['local', 'offsite']);
  });

  test('an export has none of it, and an import of it, pruning, leaves all of it', async () => {
    const text = toYaml(await exportConfiguration(database.db));
    expect(text).not.toContain('offsite');
    await setSetting(database.db, { name: 'web.title', value: 'Another', actor });
    // Sections without entries, which give up all that is not named in them.
    const pruning = `${text}apiKeys: {}\nsettings: {}\n`;
    const { changed } = await importConfiguration(
      database.db,
      parseConfiguration(new TextEncoder().encode(pruning), 'kg.yaml'),
      {
        actor,
        encryptionKey: OLD,
        places: { env: { KG_ADMIN_PASSWORD: 'the first phrase of mine' }, root: '/', inContainer: false },
        dryRun: false,
        prune: true,
        discardEmbeddings: false,
        objectStores: {
          garage: () => Promise.reject(new Error('there is none')),
          files: () => configureFileStore(database.db, { actor }),
        },
      },
    );
    expect(changed).toBe(true);
    expect(await names()).toEqual(['local', 'offsite']);
    expect(await secretKey()).toBe(SECRET_KEY);
    expect((await readBackupSettings(database.db)).schedule?.cron).toBe('30 3 * * *');
  });

  test('a destination and its credential are one change: undo takes back both, and again brings back both', async () => {
    const [last] = await readChanges(database.db, { limit: 1 });
    expect(last?.entries.map(({ topic, subject }) => `${topic} ${subject}`)).toEqual([
      'api-key backup/offsite',
      'backup destinations',
    ]);
    expect(JSON.stringify(last)).not.toContain(SECRET_KEY);
    await undo(database.db, { actor });
    expect([await names(), await secretKey()]).toEqual([['local'], undefined]);
    await undo(database.db, { actor });
    expect([await names(), await secretKey()]).toEqual([['local', 'offsite'], SECRET_KEY]);
  });

  test('so is its removal', async () => {
    await removeDestination(database.db, { name: 'offsite', actor });
    expect([await names(), await secretKey()]).toEqual([['local'], undefined]);
    await undo(database.db, { actor });
    expect([await names(), await secretKey()]).toEqual([['local', 'offsite'], SECRET_KEY]);
    for (const name of ['local', 'nowhere'])
      await expect(removeDestination(database.db, { name, actor })).rejects.toMatchObject({
        code: 'DESTINATION_UNKNOWN',
      });
  });

  test('the same again changes nothing; another key is a change', async () => {
    expect(await add()).toEqual({ changed: false });
    expect(await add('another-secret-key-0123456789')).toEqual({ changed: true });
    expect(await secretKey()).toBe('another-secret-key-0123456789');
  });

  test('config history --topic backup has only them', async () => {
    const changes = await readChanges(database.db, { limit: 10, topic: 'backup' });
    expect(changes.flatMap(({ entries }) => entries.map(({ subject }) => subject))).toEqual([
      'destinations',
      'schedule',
    ]);
  });

  test('a restore can not be undone row by row', async () => {
    await changeConfig(database.db, (trx) =>
      recordChange(
        trx,
        { actor },
        { topic: 'backup', action: 'restore', subject: 'kg-1', before: null, after: {} },
      ),
    );
    await expect(undo(database.db, { actor })).rejects.toMatchObject({ code: 'UNDO_REFUSED' });
  });

  test('rotate encryption-key seals the credential anew', async () => {
    const input = (encryptionKey: Secret) => ({
      context: {} as RunContext,
      db: database.db,
      encryptionKey,
      actor,
      confirm: async () => undefined,
    });
    const renewal = {
      from: new Map([['ENCRYPTION_KEY', OLD]]),
      to: new Map([['ENCRYPTION_KEY', NEW]]),
    };
    await encryptionKeyRotation.check(input(OLD));
    await encryptionKeyRotation.renew(input(OLD), renewal);
    await encryptionKeyRotation.retire(input(NEW), renewal);
    expect(await openEveryCredential(database.db, NEW)).toEqual([
      { row: 'backup/offsite', ok: true, reason: null },
    ]);
    expect(await secretKey(NEW)).toBe(SECRET_KEY);
  });
});
