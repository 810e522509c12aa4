import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { docker, expectCode } from './command.ts';
import { type RealGarage, startGarage } from './garage.ts';
import { ADMIN_PASSWORD, Installation } from './installation.ts';
import { allSecrets, findLeaks } from './secrets.ts';
import { until } from './wait.ts';

jest.setTimeout(600_000);

interface Listed {
  id: string;
  state: string;
  destinations: string[];
}
interface Status {
  ok: boolean;
  backup: {
    lastVerified: { id: string } | null;
    lastScheduled: { ok: boolean; result: string } | null;
    next: string | null;
    kit: string;
    remarks: { problem: string; fix: string }[];
  };
}

const BUCKET = 'far-away';

describe('backups in several places, by hand and by the schedule', () => {
  let kg: Installation;
  let garage: RealGarage;
  let accessKeyId: string;
  let secretAccessKey: string;
  let recoveryKey = '';
  let firstId = '';

  beforeAll(async () => {
    [kg, garage] = await Promise.all([Installation.create({ dev: false }), startGarage()]);
    // The loop looks every second.
    await writeFile(
      kg.path('docker/docker-compose.override.yml'),
      'services: {operator: {environment: {KG_SCHEDULE_SECONDS: "1"}}}\n',
    );
    await kg.ok(['up', '--yes', '--ai-provider', 'local', '--embedding', 'local'], {
      env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD },
    });
    await kg.logIn();
    await kg.api('POST', '/concepts', { name: 'Ada' });
    await kg.api('POST', '/documents', { title: 'Notes', text: 'Ada worked with Babbage. '.repeat(1000) });
    await prepare();
    await connect();
  });
  afterAll(async () => {
    await garage?.close();
    await kg?.destroy();
  });

  /** A bucket, and a key that may use it. */
  async function prepare(): Promise<void> {
    const { nodes, layoutVersion } = await garage.admin.clusterStatus();
    const [{ id } = { id: '' }] = nodes;
    await garage.admin.assignNode({ id, zone: 'there', capacityBytes: 1e9 }, layoutVersion + 1);
    const bucket = await garage.admin.createBucket(BUCKET);
    const key = (await garage.call('POST', 'CreateKey', { name: 'backups' })) as {
      accessKeyId: string;
      secretAccessKey: string;
    };
    ({ accessKeyId, secretAccessKey } = key);
    await garage.admin.allowKey(bucket.id, accessKeyId);
  }
  const connect = () => docker('network', 'connect', `${kg.prefix}_edge`, garage.name);
  const disconnect = () => docker('network', 'disconnect', `${kg.prefix}_edge`, garage.name);
  const add = (secret: string) =>
    kg.json(
      [
        ...['backup', 'destination', 'add', 'far', '--s3', `http://${garage.name}:3900`, '--bucket', BUCKET],
        ...['--prefix', 'kg/', '--region', 'garage', '--access-key-id', accessKeyId],
      ],
      { env: { KG_BACKUP_SECRET_KEY: secret } },
    );
  const list = async () => (await kg.json<{ backups: Listed[] }>(['backup', 'list'])).document;
  const status = async () => (await kg.json<Status>(['status'])).document.data;
  const bundles = async (folder: string) =>
    (await readdir(kg.path(folder))).filter((name) => name.endsWith('.tar.age'));

  test('wrong credentials are refused, and nothing is stored', async () => {
    expect(await add('0'.repeat(64))).toMatchObject({
      code: 7,
      document: { error: { code: 'DESTINATION_UNUSABLE' } },
    });
    const { document } = await kg.json<{ destinations: { name: string }[] }>([
      'backup',
      'destination',
      'list',
    ]);
    expect(document.data.destinations.map(({ name }) => name)).toEqual(['local']);
    expect(
      await kg.psql("SELECT provider FROM kg_api.system_api_keys WHERE provider LIKE 'backup/%'"),
    ).toEqual([]);
  });

  test('a folder that only the container would have is refused', async () => {
    for (const folder of ['/tmp/backups', '/mnt/backups'])
      expect(await kg.json(['backup', 'destination', 'add', 'disk', '--directory', folder])).toMatchObject({
        code: 3,
        document: { error: { code: 'DESTINATION_UNUSABLE' } },
      });
  });

  test('two are added; the configuration stays valid', async () => {
    expect(await add(secretAccessKey)).toMatchObject({ code: 0, document: { data: { changed: true } } });
    await mkdir(kg.path('copies'));
    await kg.ok(['backup', 'destination', 'add', 'disk', '--directory', 'copies']);
    await kg.ok(['config', 'validate']);
    await kg.ok(['start']);
  });

  test('before the first backup status asks for one and for a kit, and --exit-code does not mind', async () => {
    const { code, document } = await kg.json<Status>(['status', '--exit-code']);
    expect(code).toBe(0);
    expect(document.data.backup.remarks.map(({ fix }) => fix)).toEqual([
      './operator.sh backup',
      './operator.sh backup kit new',
    ]);
  });

  test('the first backup on a terminal makes the recovery kit, and goes everywhere', async () => {
    const result = await kg.terminal('./operator.sh backup', [
      {
        prompt: /from your copy/,
        type: (shown) => {
          recoveryKey = /AGE-SECRET-KEY-1\w+/.exec(shown)?.[0] ?? '';
          return `${recoveryKey}\r`;
        },
      },
    ]);
    expectCode(result);
    const { data } = await list();
    expect(data.backups).toMatchObject([{ state: 'verified', destinations: ['local', 'far', 'disk'] }]);
    firstId = data.backups[0]?.id ?? '';
    expect((await status()).backup).toMatchObject({
      kit: 'confirmed',
      lastVerified: { id: firstId },
      remarks: [],
    });
  });

  test('what is lost here is read from there: restore and verify', async () => {
    for (const folder of ['backups', 'copies'])
      for (const file of await readdir(kg.path(folder))) await rm(kg.path(folder, file));
    expect((await list()).data.backups).toMatchObject([{ id: firstId, destinations: ['far'] }]);
    const dry = await kg.json<{ restored: boolean; backup: string }>(['restore', 'latest', '--dry-run']);
    expect(dry).toMatchObject({ code: 0, document: { data: { backup: firstId, restored: false } } });
    const verified = await kg.json<{ backup: Listed }>(['backup', 'verify']);
    expect(verified).toMatchObject({ code: 0, document: { data: { backup: { state: 'verified' } } } });
  });

  test('what is due is made by the container itself, and old ones are given up everywhere', async () => {
    await kg.ok(['backup', 'retention', '--last', '1']);
    await kg.ok(['backup', 'schedule', '0 0 1 1 *', '--jitter', '0']);
    expect((await status()).backup.next).toMatch(/-01-01T00:00:00/);
    // It was due while the host was off.
    await writeFile(kg.path('.operator/backup-due'), '1000000000\n');
    const made = await until(
      'the scheduled backup is noted',
      async () => (await status()).backup.lastScheduled,
      { seconds: 240, everyMs: 2000 },
    );
    if (!made.ok) throw new Error(made.result);
    const { backup } = await status();
    expect(backup).toMatchObject({ lastVerified: { id: made.result }, remarks: [] });
    expect(Date.parse(backup.next ?? '')).toBeGreaterThan(Date.now());
    expect((await list()).data.backups).toMatchObject([
      { id: made.result, state: 'verified', destinations: ['local', 'far', 'disk'] },
    ]);
    expect(await bundles('copies')).toEqual([`${made.result}.tar.age`]);
  });

  test('a destination is down: exit 9 naming it, and the backup is kept where it can be', async () => {
    await disconnect();
    const { code, document } = await kg.json(['backup']);
    expect([code, document.error.code]).toEqual([9, 'BACKUP_NOT_COPIED']);
    expect(document.error.message).toMatch(/is verified and kept \(local, disk\), but not copied to far$/);
    expect(document.error.details).toEqual([expect.stringMatching(/^far: /)]);
    const started = performance.now();
    expect((await status()).ok).toBe(true);
    const seconds = (performance.now() - started) / 1000;
    expect(seconds).toBeLessThan(5);
    const { data, warnings } = await list();
    expect(data.backups[0]).toMatchObject({ state: 'verified', destinations: ['local', 'disk'] });
    expect(warnings).toEqual([expect.stringContaining('(far)')]);
    const bundle = kg.path('backups', `${data.backups[0]?.id}.tar.age`);
    expect(existsSync(bundle)).toBe(true);
    // Nothing was given up while it is not everywhere.
    expect(await bundles('backups')).toHaveLength(2);
    await connect();
  });

  test('no secret was said, logged or left; the recovery key was shown once, on that terminal', async () => {
    expect(recoveryKey).toHaveLength(74);
    const secrets = { ...(await allSecrets(kg)), SECRET_KEY: secretAccessKey, RECOVERY_KEY: recoveryKey };
    const leaks = await findLeaks(kg, secrets);
    expect(leaks).toEqual([expect.stringMatching(/^output of script .*: RECOVERY_KEY$/)]);
  });
});
