import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { ReleaseImage } from '../../packages/engine/src/release/manifest.ts';
import { atStep, changesIn, dataDigests, expectNothingLeft, expectServing, lastChange } from './changes.ts';
import { causeFault, type Disks } from './faults.ts';
import { ADMIN_PASSWORD, Installation, type JsonDocument } from './installation.ts';
import { type LimitedDisk, limitedDisk, volumeIn } from './limited-disk.ts';
import { diesAfter, NEVER_ANSWERS, NO_ENTRYPOINT } from './release-images.ts';
import { nextMigration, Publisher, type ReleaseOptions } from './releases.ts';
import { until } from './wait.ts';

jest.setTimeout(300_000);

let publisher: Publisher;
let kg: Installation;
let disk: LimitedDisk;
let data: string[];

beforeAll(async () => {
  publisher = await Publisher.create();
  await publisher.add('1.0.0');
  await publisher.add('1.0.1', { policy: { rollbackTo: '1.0.0' } });
  await publisher.issue(['--set', 'stable=1.0.1']);
  kg = await Installation.standalone(publisher);
  await kg.ok(['init']);
  disk = await limitedDisk(500);
  await volumeIn(await disk.folder('postgres'), kg.prefix, 'postgres-data');
  await kg.ok(['up', '--yes', '--ai-provider', 'local', '--embedding', 'local'], {
    env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD },
  });
  await kg.logIn();
  await kg.api('POST', '/concepts', { name: 'Ada', description: 'Ada' });
  await kg.api('POST', '/documents', { title: 'Notes', text: 'Ada worked with Babbage. '.repeat(100) });
  data = await dataDigests(kg);
});
afterAll(async () => {
  try {
    await kg?.destroy();
  } finally {
    await disk?.remove();
    await publisher?.remove();
  }
});

const upgrade = (...args: string[]) => kg.json(['upgrade', '--yes', '--no-backup', ...args]);

/** Publishes what was issued last to the installation, and tries to upgrade to a version. */
async function tryUpgrade(version: string): Promise<{ code: number; document: JsonDocument }> {
  await kg.takeReleases(publisher);
  return await upgrade('--to', version);
}

/** 1.0.0 serves with the data that it had, in the very containers that it had, and nothing is left of the attempt. */
async function expectUntouched(before: Record<string, string>): Promise<void> {
  expect(await kg.containerIds()).toEqual(before);
  await expectAsBefore();
}

async function expectAsBefore(): Promise<void> {
  await expectServing(kg, '1.0.0');
  expect(await dataDigests(kg)).toEqual(data);
  await expectNothingLeft(kg);
}

describe('documents that are not to be trusted: refused before a run begins', () => {
  const refused: [string, string, number, () => Promise<unknown>][] = [
    [
      'a list that was changed',
      'SIGNATURE_INVALID',
      3,
      () =>
        publisher.tamper('channels.json', (text) => text.replace('"stable": "1.0.1"', '"stable": "1.0.0"')),
    ],
    [
      'a release.json that was changed',
      'SIGNATURE_INVALID',
      3,
      () => publisher.tamper('1.0.1/release.json', (text) => text.replace('Made by', 'made by')),
    ],
    [
      'a list that has expired',
      'CHANNEL_EXPIRED',
      3,
      () => publisher.issue(['--days', '1'], new Date(Date.now() - 3 * 86_400_000)),
    ],
  ];
  test.each(refused)('%s: %s', async (_what, errorCode, exitCode, spoil) => {
    const before = await kg.containerIds();
    const saved = await publisher.save();
    await spoil();
    const { code, document } = await tryUpgrade('1.0.1');
    await publisher.restore(saved);
    expect({ code, error: document.error }).toMatchObject({ code: exitCode, error: { code: errorCode } });
    await expectUntouched(before);
  });

  test('an older list than one seen before: CHANNEL_REPLAYED', async () => {
    const before = await kg.containerIds();
    const older = await publisher.save();
    // Higher than the one that had expired, which counts as seen.
    for (let n = 0; n < 3; n++) await publisher.issue();
    await kg.takeReleases(publisher);
    await kg.ok(['versions', '--refresh']);
    const newest = await publisher.save();
    await publisher.restore(older);
    const { code, document } = await tryUpgrade('1.0.1');
    await publisher.restore(newest);
    expect({ code, error: document.error }).toMatchObject({ code: 3, error: { code: 'CHANNEL_REPLAYED' } });
    await expectUntouched(before);
  });

  test('a version that was withdrawn, and one behind a required stop that was withdrawn', async () => {
    const before = await kg.containerIds();
    await publisher.add('1.9.0', { imagesOf: '1.0.1', policy: { requiredStop: true } });
    await publisher.add('2.0.0', { imagesOf: '1.0.1' });
    await publisher.issue(['--yank', '1.9.0=loses documents']);
    expect((await tryUpgrade('1.9.0')).document.error).toMatchObject({ code: 'VERSION_YANKED' });
    const { code, document } = await tryUpgrade('2.0.0');
    expect({ code, error: document.error }).toMatchObject({
      code: 3,
      error: { code: 'NO_UPGRADE_PATH', details: [expect.stringContaining('1.9.0'), expect.anything()] },
    });
    await expectUntouched(before);
  });
  // What was tried is not in the journal: no run began.
  test('no run was begun by any of them', async () => {
    expect(await changesIn(kg).catch(() => [])).toEqual([]);
  });
});

/** Publishes a broken release and tries it. */
async function tryBroken(version: string, options: ReleaseOptions) {
  await publisher.add(version, { policy: { rollbackTo: '1.0.0' }, ...options });
  await publisher.issue();
  return await tryUpgrade(version);
}

describe('images that are not what they should be: nothing is changed', () => {
  const change = (to: (image: ReleaseImage) => ReleaseImage): ReleaseOptions => ({
    imagesOf: '1.0.1',
    change: (images) => {
      images.api = to(images.api as ReleaseImage);
    },
  });
  const nowhere = `sha256:${randomBytes(32).toString('hex')}`;

  test.each([
    [
      '1.1.1',
      'an image that is not in the registry',
      change((image) => ({ ...image, name: `${image.name}x` })),
    ],
    [
      '1.1.2',
      'a digest that is not in the registry',
      change((image) => ({ ...image, digest: nowhere, platforms: {} })),
    ],
  ])('%s: %s', async (version, _what, options) => {
    const before = await kg.containerIds();
    const { code, document } = await tryBroken(version, options);
    expect([3, 6]).toContain(code);
    expect(JSON.stringify(document.error)).toContain('kg-operator-api');
    await expectUntouched(before);
  });

  test('1.1.3: an operator that does not answer', async () => {
    const before = await kg.containerIds();
    const { code, document } = await tryBroken('1.1.3', { lines: { operator: NO_ENTRYPOINT } });
    expect(code).not.toBe(0);
    expect(document.error).toMatchObject({ code: 'OPERATOR_UNFIT' });
    await expectUntouched(before);
  });
});

/** It failed after its impact, was undone, and the journal says by which run. */
async function expectRolledBack(
  { code, document }: { code: number; document: JsonDocument },
  why: RegExp,
): Promise<void> {
  expect({ code, error: document.error }).toMatchObject({
    code: 9,
    error: { code: 'ROLLED_BACK', message: expect.stringMatching(why) },
  });
  const [failed, undone] = (await changesIn(kg)).slice(-2);
  expect(failed).toMatchObject({ outcome: 'failed', followedBy: undone?.id });
  expect(undone).toMatchObject({ outcome: 'finished', change: { undoes: failed?.id } });
  await expectAsBefore();
}

describe('migrations that fail: the old release is back by itself', () => {
  const migration = async (sql: string): Promise<ReleaseOptions> => ({
    migrations: { [await nextMigration(1, 'e2e_broken')]: `-- kind: expand\n${sql}\n` },
  });

  test('1.2.1: an error in SQL; file and line are named', async () => {
    const sql = 'CREATE TABLE kg_api.e2e_half (id int);\nALTER TABLE kg_api.no_such_table ADD COLUMN x int;';
    const answer = await tryBroken('1.2.1', await migration(sql));
    await expectRolledBack(answer, /_e2e_broken\.sql:3.*no_such_table/);
    expect(await kg.psql("SELECT to_regclass('kg_api.e2e_half') IS NULL")).toEqual(['t']);
  });

  test('1.2.2: a full disk', async () => {
    // No WAL is written for it, which could not grow either: PostgreSQL would crash, and that is another test.
    const sql = `CREATE UNLOGGED TABLE kg_api.e2e_large AS
      SELECT n, (SELECT string_agg(md5((n * 16 + part)::text), '') FROM generate_series(1, 16) part) FROM generate_series(1, 2000000) n;`;
    await expectRolledBack(await tryBroken('1.2.2', await migration(sql)), /space|disk/i);
  });

  test('1.2.4: PostgreSQL is killed in the middle', async () => {
    const sql = 'CREATE TABLE kg_api.e2e_slow (id int);\nSELECT pg_sleep(20);';
    const answer = tryBroken('1.2.4', await migration(sql));
    await atStep(kg, 'migrate');
    await until('it sleeps', async () =>
      (await kg.psql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")).includes('1'),
    );
    expect(await causeFault('server', kg, {} as Disks)).toBe(true);
    await expectRolledBack(await answer, /connection|database/i);
    expect(await kg.psql("SELECT to_regclass('kg_api.e2e_slow') IS NULL")).toEqual(['t']);
  });

  test('1.2.3: a table that somebody else has locked; who it is is named', async () => {
    const blocker = kg.begin(['psql', '-X', '-f', '-'], {
      input: 'BEGIN; SELECT count(*) FROM kg_api.documents; SELECT pg_sleep(600) AS e2e_blocker;',
    });
    try {
      const answer = await tryBroken(
        '1.2.3',
        await migration('ALTER TABLE kg_api.documents ADD COLUMN e2e_blocked text;'),
      );
      const { message, details } = answer.document.error;
      expect(`${message} ${details}`).toMatch(/process \d+.*e2e_blocker/s);
      await expectRolledBack(answer, /lock/i);
    } finally {
      blocker.signal('SIGKILL');
      await kg.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%e2e_blocker%' AND pid <> pg_backend_pid()",
      );
    }
  });
});

describe('applications that are not healthy: the old release is back by itself', () => {
  test('1.3.1: an API that never answers', async () => {
    const answer = await tryBroken('1.3.1', {
      lines: { api: NEVER_ANSWERS },
      healthGate: { timeoutSeconds: 15 },
    });
    await expectRolledBack(answer, /api/);
    // Evidence is kept: what the step saw.
    expect((await lastChange(kg)).steps.length).toBeGreaterThan(0);
  });

  test('1.3.2: an API that is well, and dies after 15 seconds, again and again', async () => {
    const answer = await tryBroken('1.3.2', {
      lines: { api: diesAfter(15) },
      healthGate: { stabilitySeconds: 25 },
    });
    await expectRolledBack(answer, /api/);
  });
});

test('after all that, a good release is installed', async () => {
  expect((await tryUpgrade('1.0.1')).code).toBe(0);
  await expectServing(kg, '1.0.1');
  expect(await dataDigests(kg)).toEqual(data);
  await expectNothingLeft(kg);
});
