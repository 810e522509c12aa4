import { describe, expect, test } from '@jest/globals';
import { type BackupObservation, backupStatus } from '../../src/checks/backup.ts';
import { reportOf } from '../../src/checks/report.ts';
import { showStatus } from '../../src/cli/show-status.ts';
import { everythingWrong, nothingSaved, record, wellSaved } from '../backups.ts';
import { runningPlatform } from '../observed.ts';

const NOW = new Date('2026-11-23T09:15:00Z');
const fixes = (observed: BackupObservation) => backupStatus(observed, NOW).remarks.map(({ fix }) => fix);

describe('what status says of backups', () => {
  test('saved last night: when, and when again; nothing to do', () => {
    expect(backupStatus(wellSaved(), NOW)).toMatchObject({
      newest: { state: 'verified' },
      lastVerified: { id: 'kg-20261123T031500Z-a1b2c3', ageSeconds: 6 * 3600 },
      next: '2026-11-24T03:15:00.000Z',
      lastScheduled: { ok: true },
      kit: 'confirmed',
      remarks: [],
    });
  });

  test('never saved: the first backup and the recovery kit, by their commands', () => {
    expect(backupStatus(nothingSaved(), NOW)).toMatchObject({
      newest: null,
      lastVerified: null,
      kit: 'missing',
    });
    expect(fixes(nothingSaved())).toEqual(['./operator.sh backup', './operator.sh backup kit new']);
  });

  test('a kit that nobody confirmed is a remark until it is', () => {
    const observed = wellSaved();
    if (observed.settings?.kit) observed.settings.kit.confirmedAt = null;
    expect(backupStatus(observed, NOW).kit).toBe('unconfirmed');
    expect(fixes(observed)).toEqual(['./operator.sh backup kit confirm']);
  });

  test('everything at once, each with what mends it', () => {
    const { remarks, lastVerified, newest } = backupStatus(everythingWrong(), NOW);
    expect(newest?.state).toBe('failed');
    expect(lastVerified?.id).toBe('kg-20261123T031500Z-a1b2c3');
    expect(remarks.map(({ problem }) => problem)).toEqual([
      expect.stringContaining("can't be restored: a table differs"),
      expect.stringContaining('the scheduled backup of 2026-11-23T04:15:00.000Z failed'),
      expect.stringContaining('due since 2026-11-23T04:30:00.000Z'),
      expect.stringContaining('nobody has confirmed'),
      expect.stringContaining('older than the recovery kit'),
      expect.stringContaining('another ENCRYPTION_KEY'),
      '1 database from before a restore still takes 12 MB',
    ]);
  });

  test('a restore that was cut off: which database is live, and the way back', () => {
    const exchange = { incoming: 'kg_restore_1', outgoing: 'kg_before_1' };
    const [before] = backupStatus({ ...wellSaved(), exchange }, NOW).remarks;
    expect(before).toMatchObject({
      fix: './operator.sh start',
      problem: expect.stringContaining('as it was'),
    });
    const previousDatabases = [{ name: 'kg_before_1', bytes: 1 }];
    const [after] = backupStatus({ ...wellSaved(), exchange, previousDatabases }, NOW).remarks;
    expect(after).toMatchObject({
      fix: './operator.sh start',
      problem: expect.stringContaining('./operator.sh restore --previous kg_before_1'),
    });
  });

  test('an unverified newest one is to be verified; one with a passphrase needs no kit to open', () => {
    const observed = { ...wellSaved(), backups: [record({ state: 'unverified' })] };
    expect(fixes(observed)).toEqual(['./operator.sh backup verify kg-20261123T031500Z-a1b2c3']);
    const passphrase = record({ opens: ['passphrase'], keyId: 'ffffffffffffffff' });
    expect(fixes({ ...wellSaved(), backups: [passphrase] })).toEqual([]);
  });

  test('without a database only the folder is judged', () => {
    const observed = { ...nothingSaved(), settings: null };
    expect(backupStatus(observed, NOW)).toMatchObject({ kit: null, schedule: null, remarks: [] });
    expect(fixes({ ...observed, unusable: 'no permission' })).toEqual(['check the folder']);
  });

  test('due a minute ago is not late yet', () => {
    expect(fixes({ ...wellSaved(), due: new Date(NOW.getTime() - 60_000) })).toEqual([]);
  });

  test('none of it makes a layer less ready, and all of it is on the screen', () => {
    const report = reportOf(runningPlatform(), backupStatus(everythingWrong(), NOW), '0.1.0', '');
    expect(report.ok).toBe(true);
    expect(report.next).toEqual([]);
    const screen = showStatus(report);
    for (const { problem, fix } of report.backup.remarks) expect(screen).toContain(`${problem}: ${fix}`);
  });
});
