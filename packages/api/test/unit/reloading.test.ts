import { expect, test } from '@jest/globals';
import { Secret } from '@kg-operator/config';
import { jsonLog, Redaction } from '../../src/log.ts';
import { Reloading } from '../../src/reloading.ts';

test('a failed reload is logged once per reason, remarked at first, and a reason not to be ready after a minute', async () => {
  let now = 0;
  const logged: string[] = [];
  const reloading = new Reloading(
    (_, message, fields) => logged.push(`${message}: ${fields?.error}`),
    () => now,
  );
  reloading.observe(null);
  expect(await reloading.check()).toBeUndefined();
  for (; now < 59_000; now += 1000) reloading.observe(new Error(now < 30_000 ? 'one' : 'two'));
  expect(logged).toEqual([expect.stringMatching(/: one$/), expect.stringMatching(/: two$/)]);
  expect(await reloading.check()).toMatch(/last good.*since 59 s: two/);
  now = 60_000;
  await expect(reloading.check()).rejects.toThrow(/since 60 s: two/);
  reloading.observe(null);
  expect(await reloading.check()).toBeUndefined();
  expect(logged).toHaveLength(3);
  reloading.observe(new Error('two'));
  expect(await reloading.check()).toMatch(/since 0 s/);
});

test('the reason shown to anyone is the short one: drivers name addresses', async () => {
  const reloading = new Reloading(() => {});
  reloading.observe(Object.assign(new Error('connect ECONNREFUSED 10.1.2.3:5432'), { code: 'ECONNREFUSED' }));
  expect(await reloading.check()).toMatch(/ECONNREFUSED$/);
});

test('secrets are struck out of the log from the moment it is told, as they stand in JSON, too', () => {
  const lines: string[] = [];
  const redaction = new Redaction();
  const log = jsonLog(redaction, (line) => lines.push(line));
  redaction.add([new Secret('plain-secret'), new Secret('with "quotes" and \\'), new Secret('')]);
  log('info', 'x', { a: 'plain-secret', b: 'with "quotes" and \\', c: 'kept' });
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ a: '[redacted]', b: '[redacted]', c: 'kept' });
});
