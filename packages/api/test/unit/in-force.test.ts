import { expect, test } from '@jest/globals';
import { InForce } from '../../src/in-force.ts';

function counted() {
  const disposed: string[] = [];
  return { disposed, inForce: new InForce('one', (value) => disposed.push(value)) };
}

test('who began with a value keeps it, who begins later has the new one, and the old one goes with its last user', async () => {
  const { disposed, inForce } = counted();
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const seen: string[] = [];
  const users = gates.map((gate) =>
    inForce.use(async (value) => {
      await gate.promise;
      seen.push(value);
    }),
  );
  inForce.replace('two');
  expect(inForce.current).toBe('two');
  expect(await inForce.use(async (value) => value)).toBe('two');
  gates[0]?.resolve();
  await users[0];
  expect(disposed).toEqual([]);
  gates[1]?.resolve();
  await users[1];
  expect([seen, disposed]).toEqual([['one', 'one'], ['one']]);
});

test('a user that fails lets go, too; what nobody uses goes at once, and each value once', async () => {
  const { disposed, inForce } = counted();
  await expect(inForce.use(async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  inForce.replace('two');
  inForce.replace('three');
  expect(disposed).toEqual(['one', 'two']);
  inForce.close();
  expect(disposed).toEqual(['one', 'two', 'three']);
});

test('waits for a value that fits, and not for ever', async () => {
  const { inForce } = counted();
  expect(await inForce.waitFor((value) => value === 'one', 0)).toBe(true);
  const waiting = inForce.waitFor((value) => value === 'three', 5_000);
  inForce.replace('two');
  inForce.replace('three');
  expect(await waiting).toBe(true);
  expect(await inForce.waitFor((value) => value === 'four', 20)).toBe(false);
});
