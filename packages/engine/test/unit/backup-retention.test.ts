import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { expired, type Kept, type Retention } from '../../src/backup/retention.ts';

const DAY = 86_400_000;
const at = (text: string) => new Date(text);
const daily = (days: number, state: Kept['state'] = 'verified'): Kept[] =>
  Array.from({ length: days }, (_, n) => ({
    id: `d${n}`,
    createdAt: new Date(at('2026-01-01T03:00:00Z').getTime() + n * DAY),
    state,
  }));

describe('retention', () => {
  test('keeps the newest ones, and the newest of each day, week and month', () => {
    const backups = daily(100);
    const gone = new Set(expired(backups, { last: 2, daily: 3, weekly: 2, monthly: 3 }));
    const kept = backups
      .filter(({ id }) => !gone.has(id))
      .map(({ createdAt }) => createdAt.toISOString().slice(0, 10));
    // 2026-04-10 is a Friday; the Sunday before it ends the week before.
    expect(kept).toEqual([
      '2026-02-28',
      '2026-03-31',
      '2026-04-05',
      '2026-04-08',
      '2026-04-09',
      '2026-04-10',
    ]);
  });

  test('gives up nothing that has no newer verified one', () => {
    const policy = { last: 1, daily: 0, weekly: 0, monthly: 0 };
    expect(expired(daily(5, 'unverified'), policy)).toEqual([]);
    expect(
      expired([...daily(3), { id: 'new', createdAt: at('2027-01-01T00:00:00Z'), state: 'failed' }], policy),
    ).toEqual(['d0', 'd1']);
  });

  test('a policy that keeps nothing still keeps the newest verified', () => {
    expect(expired(daily(3), { last: 0, daily: 0, weekly: 0, monthly: 0 })).toEqual(['d0', 'd1']);
  });

  const backup = fc.record({
    id: fc.uuid(),
    createdAt: fc.date({ min: at('2020-01-01'), max: at('2027-01-01'), noInvalidDate: true }),
    state: fc.constantFrom<Kept['state']>('unverified', 'verified', 'failed'),
  });
  const small = fc.nat({ max: 5 });
  const policy: fc.Arbitrary<Retention> = fc.record({
    last: small,
    daily: small,
    weekly: small,
    monthly: small,
  });

  test('whatever there is: the newest verified stays, all newer ones stay, and a second pass takes nothing more', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(backup, { selector: ({ id }) => id, maxLength: 40 }),
        policy,
        (backups, rules) => {
          const gone = expired(backups, rules);
          const verified = backups.filter(({ state }) => state === 'verified');
          const newest = Math.max(...verified.map(({ createdAt }) => createdAt.getTime()));
          const removed = backups.filter(({ id }) => gone.includes(id));
          expect(new Set(gone).size).toBe(gone.length);
          for (const { createdAt } of removed) expect(createdAt.getTime()).toBeLessThanOrEqual(newest);
          if (verified.length > 0)
            expect(
              verified.some(({ id, createdAt }) => createdAt.getTime() === newest && !gone.includes(id)),
            ).toBe(true);
          const left = backups.filter(({ id }) => !gone.includes(id));
          expect(expired(left, rules)).toEqual([]);
        },
      ),
    );
  });
});
