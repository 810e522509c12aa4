import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { checkCron, nextDue } from '../../src/backup/schedule.ts';

const at = (text: string) => new Date(text);
const nightly = { cron: '30 3 * * *', jitterSeconds: 0 };

describe('when the next backup is due', () => {
  test('the first time of the cron expression after the last attempt, in UTC', () => {
    expect(nextDue(nightly, at('2026-11-23T03:29:59Z'), 'kg')).toEqual(at('2026-11-23T03:30:00Z'));
    expect(nextDue(nightly, at('2026-11-23T03:30:00Z'), 'kg')).toEqual(at('2026-11-24T03:30:00Z'));
    const sundays = { cron: '0 12 * * 0', jitterSeconds: 0 };
    expect(nextDue(sundays, at('2026-11-23T00:00:00Z'), 'kg')).toEqual(at('2026-11-29T12:00:00Z'));
    const leap = { cron: '0 0 29 2 *', jitterSeconds: 0 };
    expect(nextDue(leap, at('2026-11-23T00:00:00Z'), 'kg')).toEqual(at('2028-02-29T00:00:00Z'));
  });

  test('a change to summer time neither doubles nor skips one: the clock is UTC', () => {
    const hourly = { cron: '30 * * * *', jitterSeconds: 0 };
    let due = at('2026-03-28T23:30:00Z');
    for (let hours = 1; hours <= 6; hours++) {
      const next = nextDue(hourly, due, 'kg');
      expect(next?.getTime()).toBe(due.getTime() + 3_600_000);
      due = next as Date;
    }
  });

  test('missed for a week: due once, in the past, and from then on as usual', () => {
    const due = nextDue(nightly, at('2026-11-16T03:30:00Z'), 'kg');
    expect(due).toEqual(at('2026-11-17T03:30:00Z'));
    // It is made on the 23rd, and that is the last attempt then.
    expect(nextDue(nightly, at('2026-11-23T09:00:00Z'), 'kg')).toEqual(at('2026-11-24T03:30:00Z'));
  });

  test('a date that never comes is never due', () => {
    expect(nextDue({ cron: '0 0 30 2 *', jitterSeconds: 0 }, at('2026-11-23T00:00:00Z'), 'kg')).toBeNull();
  });
});

describe('jitter', () => {
  const jittered = { cron: '30 3 * * *', jitterSeconds: 600 };

  test('puts off by up to so many seconds, by the same as often as it is asked', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 0, max: 86_400 }), (installation, jitterSeconds) => {
        const last = at('2026-11-23T00:00:00Z');
        const due = nextDue({ ...jittered, jitterSeconds }, last, installation) as Date;
        const late = (due.getTime() - at('2026-11-23T03:30:00Z').getTime()) / 1000;
        expect(late).toBeGreaterThanOrEqual(0);
        expect(late).toBeLessThanOrEqual(jitterSeconds);
        expect(nextDue({ ...jittered, jitterSeconds }, last, installation)).toEqual(due);
      }),
    );
  });

  test('spreads installations, and the days of one', () => {
    const last = at('2026-11-23T00:00:00Z');
    const many = Array.from({ length: 100 }, (_, n) => nextDue(jittered, last, `kg-${n}`)?.getTime());
    expect(new Set(many).size).toBeGreaterThan(80);
    const days = Array.from({ length: 30 }, (_, day) => {
      const due = nextDue(jittered, new Date(last.getTime() + day * 86_400_000), 'kg');
      return (due?.getTime() ?? 0) % 86_400_000;
    });
    expect(new Set(days).size).toBeGreaterThan(20);
  });

  test('a run that was put off is not due again for the same time', () => {
    const due = nextDue(jittered, at('2026-11-23T00:00:00Z'), 'kg') as Date;
    expect(nextDue(jittered, due, 'kg')?.toISOString()).toMatch(/^2026-11-24T03:3/);
  });
});

test('what is no schedule is refused with an example', () => {
  for (const cron of ['', '* * * *', '* * * * * *', '61 3 * * *', 'every day', '30 25 * * *'])
    expect(() => checkCron(cron)).toThrow(
      expect.objectContaining({
        code: 'SCHEDULE_INVALID',
        exitCode: 2,
        hint: expect.stringContaining('30 3'),
      }),
    );
  for (const cron of ['*/5 * * * *', '30 3 * * 1-5', '0 0 1 */2 *'])
    expect(() => checkCron(cron)).not.toThrow();
});
