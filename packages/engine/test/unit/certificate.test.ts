import { describe, expect, test } from '@jest/globals';
import { backupStatus } from '../../src/checks/backup.ts';
import { reportOf } from '../../src/checks/report.ts';
import { certificateLines, showCertificate } from '../../src/cli/show-certificate.ts';
import { showStatus } from '../../src/cli/show-status.ts';
import { nothingSaved } from '../backups.ts';
import { certificates, judge, NOW, shown } from '../certificates.ts';
import { runningPlatform } from '../observed.ts';

const HOUR = 1 / 24;

describe('certificateStatus', () => {
  test.each([
    // 90 days: renewed with 30 left; half of these 30 may pass.
    ['acme', -1, 89, 'good', true],
    ['acme', -59, 31, 'good', true],
    ['acme', -61, 29, 'due', true],
    ['acme', -74, 16, 'due', true],
    ['acme', -76, 14, 'overdue', false],
    ['acme', -90, 0, 'expired', false],
    ['acme', 1, 90, 'not-yet-valid', false],
    // Twelve hours: renewed with four left.
    ['internal', -7 * HOUR, 5 * HOUR, 'good', true],
    ['internal', -9 * HOUR, 3 * HOUR, 'due', true],
    ['internal', -10.5 * HOUR, 1.5 * HOUR, 'overdue', false],
    // A year, by hand: a month is enough.
    ['files', -300, 65, 'good', true],
    ['files', -340, 25, 'due', true],
    ['files', -351, 14, 'overdue', false],
  ] as const)('%s, from %d to %d days: %s', (mode, from, to, state, ok) => {
    const status = judge(shown({ from, to }), mode);
    expect(status).toMatchObject({ state, ok });
    expect(status.problem === null).toBe(state === 'good' || (state === 'due' && mode !== 'files'));
    expect(status.fix === null).toBe(status.problem === null);
  });

  test('another name comes first: the rest of it is of no use', () => {
    const look = shown({ from: -90, to: -1 }, { namesHost: false, names: ['a.example', 'b.example'] });
    expect(judge(look)).toMatchObject({
      state: 'wrong-name',
      nameMatches: false,
      problem: 'the certificate is for a.example, b.example, not for kg.example.org',
    });
  });

  test('days are rounded down, and below zero after the end', () => {
    expect(judge(shown({ from: -1, to: 89.99 })).daysLeft).toBe(89.9);
    expect(judge(shown({ from: -91, to: -0.5 })).daysLeft).toBe(-0.5);
  });

  test('a chain that is not trusted is said, and is no failure', () => {
    const look = shown({ from: -1, to: 89 }, { untrusted: 'SELF_SIGNED_CERT_IN_CHAIN' });
    expect(judge(look, 'files')).toMatchObject({
      ok: true,
      trusted: false,
      untrustedBecause: 'SELF_SIGNED_CERT_IN_CHAIN',
    });
  });
});

describe('what a person sees', () => {
  test('cert status: every state says what it is, and what to do about it', () => {
    for (const status of certificates()) {
      const text = showCertificate(status);
      expect(text).toContain(status.state === 'off' ? 'TLS_MODE' : status.url);
      if (status.problem) expect(text.split('\n').at(-1)).toBe(`  ! ${status.problem}: ${status.fix}`);
    }
    expect(showCertificate(judge(shown({ from: -1, to: 89.5 })), NOW).split('\n')).toEqual([
      'State    good',
      'Address  https://kg.example.org',
      'From     a public authority, by ACME (TLS_MODE=acme)',
      'Issuer   E7',
      'Names    kg.example.org',
      'Good     2026-11-22 12:00 to 2027-02-21 00:00 UTC, 89 days left',
      'Renewal  from 2027-01-22 00:00 UTC on, by itself',
      'Trusted  by everybody',
      'SHA-256  AB:CD',
    ]);
  });

  test('what is left is said in hours where days would be too coarse', () => {
    const left = (to: number) =>
      /UTC, (.*)$/m.exec(showCertificate(judge(shown({ from: -1, to })), NOW))?.[1];
    expect([left(0.5), left(1.9), left(2.1), left(0)]).toEqual([
      '12 hours left',
      '45 hours left',
      '2 days left',
      'over',
    ]);
  });

  test('status: one line, one more where something is to be done, none without TLS', () => {
    expect(certificateLines(null)).toEqual([]);
    expect(certificateLines(judge(shown({ from: -1, to: 89 })))).toEqual([
      'Certificate  kg.example.org, good, until 2027-02-20 12:00 UTC',
    ]);
    expect(certificateLines(judge(shown({ from: -90, to: -1 })))).toHaveLength(2);
  });

  test('a certificate that nobody can use makes status not ok', () => {
    const backup = backupStatus(nothingSaved(), new Date());
    const report = (to: number) =>
      reportOf(runningPlatform(), backup, '1.0.0', 'https://x', judge(shown({ from: -90, to })));
    expect([report(40).ok, report(-1).ok]).toEqual([true, false]);
    expect(showStatus(report(-1))).toContain('EXPIRED');
  });
});
