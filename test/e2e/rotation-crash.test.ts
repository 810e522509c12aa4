import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import {
  CredentialUnreadable,
  credentialFingerprint,
  finishRotation,
  keyIdOf,
  openCredential,
  openDatabase,
  resolveEncryptionKey,
  Secret,
  sealCredential,
  type Tables,
} from '@kg-operator/config';
import { type Kysely, sql } from 'kysely';
import { begin, expectCode, type Running, run } from './command.ts';
import { ensureImage, REPOSITORY } from './images.ts';
import { type PostgresServer, startPostgres } from './postgres.ts';

const KILLS = process.env.KG_TEST_FULL === '1' ? 20 : 4;
const CREDENTIALS = 1000;
jest.setTimeout(180_000 + KILLS * 30_000);

let scratch: string;
let root: string;
let server: PostgresServer;
let db: Kysely<Tables>;
let key = newKey();

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'kg-rotation-'));
  root = join(scratch, 'root');
  await mkdir(root);
  expectCode(await run('node', ['packages/engine/build.js', join(scratch, 'engine')], { cwd: REPOSITORY }));
  server = await startPostgres(await ensureImage('postgres'));
  db = openDatabase(server.settings);
  await writeEnv('.env', key);
  expectCode(await engine('migrate', '--dir', join(REPOSITORY, 'schema/migrations')).done);
  await db
    .insertInto('kg_api.key_fingerprint')
    .values({ key_id: keyIdOf(key) })
    .execute();
  const rows = Array.from({ length: CREDENTIALS }, (_, index) => {
    const provider = `test-${index}`;
    const plaintext = new Secret(plaintextOf(provider));
    const { keyId, ciphertext } = sealCredential(key, provider, plaintext);
    return { provider, key_id: keyId, ciphertext, fingerprint: credentialFingerprint(key, plaintext) };
  });
  await db.insertInto('kg_api.system_api_keys').values(rows).execute();
});
afterAll(async () => {
  await db?.destroy();
  await server?.close();
  await rm(scratch, { recursive: true, force: true });
});

function newKey(): Secret {
  return new Secret(randomBytes(32).toString('hex'));
}

const plaintextOf = (provider: string) => `sk-${provider}-of-the-crash-test`;

/** What operator.sh writes, for this server. */
function writeEnv(file: string, encryptionKey: Secret): Promise<void> {
  const lines = [
    '# Rotated encryption-key 2026-01-01T00:00:00Z',
    `ENCRYPTION_KEY=${encryptionKey.reveal()}`,
    `POSTGRES_PASSWORD=${server.settings.password.reveal()}`,
  ];
  return writeFile(join(root, file), `${lines.join('\n')}\n`, { mode: 0o600 });
}

/** The engine itself, as in the operator's container. */
function engine(...args: string[]): Running {
  const { host, port, user, database } = server.settings;
  return begin('node', [join(scratch, 'engine/bin/run.js'), ...args, '--json'], {
    env: {
      KG_ROOT: root,
      POSTGRES_HOST: host,
      POSTGRES_PORT: String(port),
      POSTGRES_USER: user,
      POSTGRES_DB: database,
    },
    seconds: 60,
  });
}

/** Every credential opens with the key that key_fingerprint names, and with no other; returns whether that is `renewed`. */
async function expectOneKey(old: Secret, renewed: Secret): Promise<boolean> {
  const { key_id } = await db.selectFrom('kg_api.key_fingerprint').select('key_id').executeTakeFirstOrThrow();
  const [documented, other] = key_id === keyIdOf(renewed) ? [renewed, old] : [old, renewed];
  expect(keyIdOf(documented)).toBe(key_id);
  const rows = await db.selectFrom('kg_api.system_api_keys').selectAll().execute();
  expect(rows).toHaveLength(CREDENTIALS);
  for (const { provider, key_id: rowKey, ciphertext, fingerprint } of rows) {
    expect(rowKey).toBe(key_id);
    expect(openCredential(documented, provider, ciphertext)).toBe(plaintextOf(provider));
    expect(() => openCredential(other, provider, ciphertext)).toThrow(CredentialUnreadable);
    expect(fingerprint).toBe(credentialFingerprint(documented, plaintextOf(provider)));
  }
  // Who still has the .env of before gets there, too.
  expect(keyIdOf(await resolveEncryptionKey(db, old))).toBe(key_id);
  return documented === renewed;
}

/** Returns when the rotation has begun to change the database: it holds the lock of changes. */
async function inTransaction(running: Running): Promise<void> {
  let ended = false;
  running.done.then(
    () => {
      ended = true;
    },
    () => {
      ended = true;
    },
  );
  while (!ended) {
    const { rows } = await sql<{ held: boolean }>`
      SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted) AS held`.execute(db);
    if (rows[0]?.held) return;
  }
}

test(`kill -9 at ${KILLS} random points: every credential has one documented key, and the same command again completes`, async () => {
  const outcomes = { before: 0, after: 0 };
  let whole = 1500;
  let transaction = 300;
  for (let round = 0; round <= KILLS; round++) {
    const renewed = newKey();
    await writeEnv('.env.next', renewed);
    const started = performance.now();
    const running = engine('rotate', 'encryption-key');
    if (round === 0) {
      // Uninterrupted, to know how long it takes.
      await inTransaction(running);
      const entered = performance.now();
      expectCode(await running.done);
      whole = performance.now() - started;
      transaction = performance.now() - entered;
    } else {
      // Three of four inside the transaction or just after it.
      if (round % 4 === 0) await sleep(Math.random() * whole);
      else {
        await inTransaction(running);
        await sleep(Math.random() * transaction * 1.1);
      }
      running.signal('SIGKILL');
      await running.done;
      outcomes[(await expectOneKey(key, renewed)) ? 'after' : 'before'] += 1;
      expectCode(await engine('rotate', 'encryption-key').done);
    }
    expect(await expectOneKey(key, renewed)).toBe(true);
    // Once more changes nothing.
    const versions = async () =>
      (await db.selectFrom('kg_api.config_version').select('version').execute())[0]?.version;
    const version = await versions();
    expectCode(await engine('rotate', 'encryption-key').done);
    expect(await versions()).toBe(version);

    await rename(join(root, '.env.next'), join(root, '.env'));
    await db.transaction().execute(finishRotation);
    await expect(resolveEncryptionKey(db, key)).rejects.toThrow('ENCRYPTION_KEY is key');
    key = renewed;
  }
  const changes = await db
    .selectFrom('kg_api.config_history')
    .select('after')
    .where('topic', '=', 'rotate')
    .execute();
  expect(changes).toHaveLength(KILLS + 1);
  console.info(
    `rotation of ${CREDENTIALS} credentials: ${Math.round(whole)} ms, ${Math.round(transaction)} of them in the transaction and after; ` +
      `of ${KILLS} kills ${outcomes.before} came before the commit, ${outcomes.after} after it`,
  );
  expect(outcomes.before).toBeGreaterThan(0);
});
