import { access, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { bundleName, recordName } from '../../src/backup/catalog.ts';
import { observeBackups } from '../../src/backup/observe.ts';
import { makeScheduled } from '../../src/backup/scheduled.ts';
import { lastScheduled, readDue, syncDue } from '../../src/backup/scheduler.ts';
import { type BackupSettings, changeBackupSettings } from '../../src/backup/settings.ts';
import { backupExecutors, expiredBackups, pruneBackups } from '../../src/backup/steps.ts';
import { backupStatus } from '../../src/checks/backup.ts';
import { OperatorError } from '../../src/model/errors.ts';
import type { Plan } from '../../src/model/plan.ts';
import { readSettings } from '../../src/model/settings.ts';
import type { RunContext } from '../../src/run/context.ts';
import { takeLock } from '../../src/run/lock.ts';
import { runPlan } from '../../src/run/run-plan.ts';
import { record } from '../backups.ts';
import { type EmbeddedDatabase, migratedDatabase } from '../embedded-database.ts';
import { runningPlatform } from '../observed.ts';

const DAY = 86_400_000;
const AGAIN = 15 * 60_000;

let database: EmbeddedDatabase;
let root: string;
let now: Date;
let context: RunContext;
let plans: Plan[];

beforeAll(async () => {
  database = await migratedDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.session.query(
    'TRUNCATE kg_api.platform_settings, kg_api.system_api_keys, kg_api.config_history, kg_api.config_undo',
  );
  if (root) await rm(root, { recursive: true, force: true });
  root = await mkdtemp(join(tmpdir(), 'kg-scheduled-'));
  now = new Date('2026-11-23T00:00:00Z');
  plans = [];
  context = {
    settings: readSettings({ KG_ROOT: root, COMPOSE_PROJECT_NAME: 'kg' }),
    clock: { now: () => 0, date: () => now, sleep: async () => undefined },
    configDatabase: () => database.db,
    journal: { append: async () => undefined },
    signal: new AbortController().signal,
  } as unknown as RunContext;
  await set({ schedule: { cron: '30 3 * * *', jitterSeconds: 0 } });
  await syncDue(context);
});
afterAll(async () => rm(root, { recursive: true, force: true }));

async function set(change: Partial<BackupSettings>): Promise<void> {
  for (const subject of Object.keys(change) as (keyof BackupSettings)[])
    await changeBackupSettings(database.db, { actor: 'os:tester' }, subject, (settings) => ({
      ...settings,
      ...change,
    }));
}

/** Puts a bundle of a few bytes and its record into the folder. */
async function put(id: string, createdAt: Date, state: 'verified' | 'unverified' | 'failed' = 'verified') {
  await mkdir(join(root, 'backups'), { recursive: true });
  await writeFile(join(root, 'backups', bundleName(id)), 'bundle');
  const text = JSON.stringify(record({ id, createdAt: createdAt.toISOString(), size: 6, state }));
  await writeFile(join(root, 'backups', recordName(id)), text);
}

/** What a plan's steps do, without a database that is dumped: a backup is a few bytes, and all else is real. */
async function run(plan: Plan): Promise<void> {
  plans.push(plan);
  for (const step of plan.steps) {
    if (step.kind === 'write-backup') await put(step.id, now, 'unverified');
    else if (step.kind === 'verify-backup') await put(step.id, now);
    else if (step.kind === 'copy-backup')
      await backupExecutors['copy-backup'](step, context, () => undefined);
    else if (step.kind === 'prune-backups') await pruneBackups(context);
    else throw new Error(step.kind);
  }
}
/** The container's loop, at one moment: the engine is started only if a backup is due. */
async function loop(at: Date, execute: (plan: Plan) => Promise<void> = run): Promise<string | null> {
  now = at;
  const due = await readDue(context);
  return due && due <= at ? makeScheduled(context, execute) : null;
}
const time = (text: string) => new Date(`2026-11-${text}Z`);
const status = async () =>
  backupStatus(
    await observeBackups(context, {
      database: runningPlatform().database,
      encryptionKeyId: '0011223344556677',
    }),
    now,
  );
const there = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

describe('the schedule', () => {
  test('is due at its time, is made, verified and noted, and is due again the next day', async () => {
    expect(await readDue(context)).toEqual(time('23T03:30:00'));
    expect(await loop(time('23T03:29:30'))).toBeNull();
    const id = await loop(time('23T03:30:10'));
    expect(plans).toMatchObject([
      {
        steps: [
          { kind: 'write-backup', id },
          { kind: 'verify-backup', id },
        ],
      },
    ]);
    expect(await lastScheduled(context)).toEqual({
      at: '2026-11-23T03:30:10.000Z',
      ok: true,
      result: id,
      failures: 0,
      uncopied: null,
    });
    expect(await readDue(context)).toEqual(time('24T03:30:00'));
    expect(await loop(time('23T03:30:40'))).toBeNull();
    expect(await status()).toMatchObject({
      lastVerified: { id, ageSeconds: 30 },
      next: '2026-11-24T03:30:00.000Z',
      lastScheduled: { ok: true, result: id },
    });
  });

  test('after a week of downtime one is made, however many were missed', async () => {
    await loop(time('23T03:30:10'));
    expect(await loop(new Date(time('30T09:00:00').getTime()))).not.toBeNull();
    expect(await readDue(context)).toEqual(new Date('2026-12-01T03:30:00Z'));
    expect(await loop(time('30T09:00:30'))).toBeNull();
    expect(plans).toHaveLength(2);
  });

  test('a start of the platform does not forget the one that was missed, not even the first', async () => {
    now = time('25T12:00:00');
    await syncDue(context);
    expect(await readDue(context)).toEqual(time('23T03:30:00'));
    expect(await loop(now)).not.toBeNull();
    expect(await readDue(context)).toEqual(time('26T03:30:00'));
  });

  test('that came with a restore, or was taken back by an undo, is what the loop sees', async () => {
    await rm(join(root, '.operator'), { recursive: true });
    await syncDue(context);
    expect(await readDue(context)).toEqual(time('23T03:30:00'));
    await set({ schedule: null });
    await syncDue(context);
    expect(await readDue(context)).toBeNull();
  });

  test('switched off between: nothing is made, and nothing is due any more', async () => {
    await set({ schedule: null });
    expect(await loop(time('23T03:30:10'))).toBeNull();
    expect([plans, await readDue(context)]).toEqual([[], null]);
  });
});

describe('what goes wrong', () => {
  const broken = async () => {
    throw new OperatorError('DISK_FULL', 'no space left', { exitCode: 3 });
  };

  test('a failure is noted and said by status; the next attempts come ever later, but not after the next time', async () => {
    let at = time('23T03:30:00');
    const waits = [];
    for (let attempt = 0; attempt < 8; attempt++) {
      await expect(loop(at, broken)).rejects.toMatchObject({ code: 'DISK_FULL' });
      const due = (await readDue(context)) as Date;
      waits.push((due.getTime() - at.getTime()) / 60_000);
      at = due;
    }
    // 15 + 30 + … + 480 + 480 minutes after 03:30 it is 03:15, and then the schedule's own time comes first.
    expect(waits).toEqual([15, 30, 60, 120, 240, 480, 480, 15]);
    expect(await lastScheduled(context)).toMatchObject({ ok: false, result: 'no space left', failures: 8 });
    const { remarks } = await status();
    expect(remarks.map(({ problem }) => problem)).toContainEqual(
      expect.stringMatching(/^the scheduled backup of .* failed: no space left$/),
    );
    const id = await loop(at);
    expect(await lastScheduled(context)).toMatchObject({ ok: true, result: id, failures: 0 });
    expect((await status()).remarks.map(({ fix }) => fix)).toEqual(['./operator.sh backup kit new']);
  });

  test('another command has the lock: late, not failed', async () => {
    const release = await takeLock(context.settings.stateDirectory, 'kg-operator restore');
    const locked = (plan: Plan) => runPlan(plan, context, 'backup scheduled', async () => undefined);
    await expect(loop(time('23T03:30:00'), locked)).rejects.toMatchObject({ code: 'LOCKED', exitCode: 5 });
    expect(await lastScheduled(context)).toBeNull();
    expect(await readDue(context)).toEqual(time('23T03:45:00'));
    await release();
    expect(await loop(time('23T03:45:00'))).not.toBeNull();
    expect(await lastScheduled(context)).toMatchObject({ ok: true, failures: 0 });
  });

  test('killed in the middle: due again later, not at once and for ever', async () => {
    const killed = () => new Promise<void>(() => undefined);
    void loop(time('23T03:30:00'), killed);
    const later = new Date(time('23T03:30:00').getTime() + AGAIN);
    const deadline = Date.now() + 10_000;
    while ((await readDue(context))?.getTime() !== later.getTime() && Date.now() < deadline) await sleep(10);
    expect(await readDue(context)).toEqual(later);
  });

  test('a destination that is down: the backup stays, is noted as not copied, and only the copy is made up for', async () => {
    // A file where the folder should be: nothing can be written there.
    await writeFile(join(root, 'far'), '');
    await set({
      destinations: [
        { name: 'local', type: 'directory', path: 'backups' },
        { name: 'far', type: 'directory', path: 'far' },
        { name: 'near', type: 'directory', path: 'near' },
      ],
    });
    const failure = await loop(time('23T03:30:00')).catch((error) => error);
    expect(failure).toMatchObject({ code: 'BACKUP_NOT_COPIED', exitCode: 9 });
    expect(failure.message).toMatch(/is verified and kept \(local, near\), but not copied to far$/);
    expect(failure.details).toEqual([expect.stringMatching(/^far: /)]);
    const { uncopied } = (await lastScheduled(context)) ?? {};
    expect(await there(join(root, 'backups', bundleName(uncopied ?? '')))).toBe(true);
    expect(await there(join(root, 'near', bundleName(uncopied ?? '')))).toBe(true);

    await rm(join(root, 'far'));
    expect(await loop(time('23T03:45:00'))).toBe(uncopied);
    expect(plans.at(-1)?.steps.map(({ kind }) => kind)).toEqual(['copy-backup']);
    expect(await readFile(join(root, 'far', bundleName(uncopied ?? '')), 'utf8')).toBe('bundle');
    expect(await lastScheduled(context)).toMatchObject({ ok: true, result: uncopied, uncopied: null });
  });

  test('down until the next time: another backup is made then', async () => {
    await writeFile(join(root, 'far'), '');
    await set({
      destinations: [
        { name: 'local', type: 'directory', path: 'backups' },
        { name: 'far', type: 'directory', path: 'far' },
      ],
    });
    await expect(loop(time('23T03:30:00'))).rejects.toMatchObject({ code: 'BACKUP_NOT_COPIED' });
    await rm(join(root, 'far'));
    await loop(time('24T03:30:00'));
    expect(plans.at(-1)?.steps.map(({ kind }) => kind)).toEqual([
      'write-backup',
      'verify-backup',
      'copy-backup',
    ]);
  });
});

describe('retention', () => {
  const policy = { last: 2, daily: 3, weekly: 0, monthly: 0 };

  test('night after night as many stay as the policy says, in every destination', async () => {
    await set({
      retention: policy,
      destinations: [
        { name: 'local', type: 'directory', path: 'backups' },
        { name: 'near', type: 'directory', path: 'near' },
      ],
    });
    for (let night = 0; night < 6; night++) await loop(new Date(time('23T03:30:05').getTime() + night * DAY));
    expect(plans).toHaveLength(6);
    for (const folder of ['backups', 'near']) {
      const bundles = (await readdir(join(root, folder))).filter((name) => name.endsWith('.tar.age'));
      expect(bundles.map((name) => name.slice(3, 11)).sort()).toEqual(['20261126', '20261127', '20261128']);
    }
    expect((await status()).newest?.id).toMatch(/^kg-20261128/);
  });

  test('a failing backup gives up nothing; neither does one that was not verified', async () => {
    await set({ retention: { last: 1, daily: 0, weekly: 0, monthly: 0 } });
    for (const day of [20, 21, 22]) await put(`kg-${day}`, time(`${day}T03:30:00`));
    const failing = async (plan: Plan) => {
      await run({ ...plan, steps: plan.steps.slice(0, 1) });
      throw new OperatorError('BACKUP_NOT_RESTORABLE', 'it differs', { exitCode: 9 });
    };
    await expect(loop(time('23T03:30:00'), failing)).rejects.toMatchObject({ exitCode: 9 });
    expect(await there(join(root, 'backups', bundleName('kg-22')))).toBe(true);
    // Asked for by hand, the newest verified one stays, and what is newer.
    expect(await expiredBackups(context)).toEqual(['kg-20', 'kg-21']);
    await pruneBackups(context);
    expect((await status()).lastVerified?.id).toBe('kg-22');
  });
});
