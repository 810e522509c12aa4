import { describe, expect, test } from '@jest/globals';
import { backupStatus } from '../../src/checks/backup.ts';
import { reportOf } from '../../src/checks/report.ts';
import { duration } from '../../src/cli/age.ts';
import { showStatus } from '../../src/cli/show-status.ts';
import { EXIT } from '../../src/model/errors.ts';
import type { Observation } from '../../src/model/observation.ts';
import { nothingSaved } from '../backups.ts';
import { drifted, emptyHost, runningPlatform, upgrading } from '../observed.ts';

const report = (observed: Observation) =>
  reportOf(observed, backupStatus(nothingSaved(), new Date()), '1.0.0', 'http://localhost:3000');
const lines = (observed: Observation) => showStatus(report(observed)).split('\n');

describe('status of an upgrade', () => {
  test('one that runs: where it is, for how long, and how to follow it; that is no fault', () => {
    const observed = upgrading({}, true);
    const step = observed.change?.run.steps[1];
    Object.assign(step ?? {}, { startedAt: new Date(Date.now() - 20_100).toISOString() });
    expect(lines(observed)[2]).toBe(
      'Upgrade to 1.1.0: step 2 of 2, Go on with kg-operator 1.1.0, for 20 s; follow it: ./operator.sh upgrade --attach',
    );
    expect(report(observed)).toMatchObject({ ok: true, next: ['./operator.sh upgrade --attach'] });
  });

  test('one that was interrupted: both ways on, before what any layer wants', () => {
    expect(lines(upgrading())[2]).toBe(
      'Upgrade to 1.1.0 was interrupted at step 2 of 2, Go on with kg-operator 1.1.0; it goes on with ./operator.sh upgrade, and back with ./operator.sh rollback',
    );
    const down = { ...emptyHost(), change: upgrading().change ?? null };
    expect(report(down)).toMatchObject({
      ok: false,
      next: ['./operator.sh upgrade', './operator.sh rollback'],
    });
    expect(report(upgrading()).ok).toBe(false);
  });

  test('one that needs recovery: what failed, and its hint as the next command', () => {
    const error = {
      message: 'no disk',
      code: 'RECOVERY_NEEDED',
      exitCode: EXIT.afterImpact,
      hint: 'free some space, then ./operator.sh rollback',
    };
    const observed = upgrading({ outcome: 'failed', error });
    expect(lines(observed)[2]).toBe(
      'RECOVERY NEEDED  Upgrade to 1.1.0 failed at step 2 of 2, Go on with kg-operator 1.1.0: no disk',
    );
    expect(lines(observed).at(-1)).toBe('Next: free some space, then ./operator.sh rollback');
    expect(report(observed).ok).toBe(false);
  });
});

test('status of another image than the one installed: at its service, and what to do about it', () => {
  const text = lines(drifted());
  expect(text.find((line) => line.startsWith('api '))).toMatch(/runs kg-operator-api:test$/);
  expect(text.filter((line) => line.includes('runs kg-operator-')).length).toBe(2);
  expect(text.at(-1)).toBe('Next: ./operator.sh start');
  expect(report(drifted())).toMatchObject({ ok: false, services: expect.anything() });
  expect(report(runningPlatform())).toMatchObject({ ok: true, findings: [], next: [], operation: null });
});

test.each([
  [0.44, '0.4 s'],
  [59.4, '59 s'],
  [60, '1 min'],
  [185, '3 min 5 s'],
  [7200, '2 h'],
  [7805, '2 h 10 min'],
])('%d s are %s', (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});
