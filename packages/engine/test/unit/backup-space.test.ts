import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { allAtOnce } from '../../src/backup/findings.ts';
import { loadedBytes, type SpaceNeed, shortageOf } from '../../src/backup/space.ts';
import { diskOfFolder, parseDf } from '../../src/model/disk.ts';
import { EXIT, OperatorError } from '../../src/model/errors.ts';

const GB = 1e9;
const need = (place: string, bytes: number, disk: SpaceNeed['disk']): SpaceNeed => ({
  what: `what goes to ${place}`,
  bytes,
  how: 'guessed',
  place,
  disk,
});

test('what fits is no finding, and what can not be measured neither', () => {
  expect(shortageOf([need('a', GB, { available: GB, total: 9 * GB }), need('b', 99 * GB, null)])).toBeNull();
});

test('too little: how much is needed, how much is free, where', () => {
  expect(shortageOf([need('a', 2 * GB, { available: GB, total: 9 * GB })])).toMatchObject({
    code: 'DISK_FULL',
    exitCode: 3,
    message: 'not enough space in a: 2.0 GB are needed, 1.0 GB are free',
    details: ['what goes to a in a: 2.0 GB (guessed), 1.0 GB are free'],
  });
});

test('places on one disk are added up; on two they are not', () => {
  const disk = { available: 3 * GB, total: 9 * GB };
  const two = (other: SpaceNeed['disk']) => shortageOf([need('a', 2 * GB, disk), need('b', 2 * GB, other)]);
  expect(two({ ...disk, available: disk.available + 4096 })?.message).toBe(
    'not enough space in a and b: 4.0 GB are needed, 3.0 GB are free',
  );
  expect(two({ available: 3 * GB, total: 8 * GB })).toBeNull();
});

test('every disk that is too small is told', () => {
  const small = (total: number) => ({ available: GB, total });
  expect(
    shortageOf([need('a', 2 * GB, small(5 * GB)), need('b', 3 * GB, small(6 * GB))])?.details,
  ).toHaveLength(2);
});

test('a folder that is not there yet is on the disk of the one above it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kg-space-'));
  const disk = await diskOfFolder(folder);
  expect(disk.total).toBeGreaterThan(disk.available);
  expect((await diskOfFolder(join(folder, 'not', 'there'))).total).toBe(disk.total);
  await rm(folder, { recursive: true });
});

test('df as Docker gives it, with its frame before', () => {
  const output =
    '\x01\0\0\0\0\0\0\x90Filesystem     1024-blocks     Used Available Capacity Mounted on\n/dev/vda1        101091196 60123456  35789012      63% /var/lib/postgresql\n';
  expect(parseDf(output)).toEqual({ available: 35789012 * 1024, total: 101091196 * 1024 });
  expect(parseDf('sh: df: not found')).toBeNull();
});

test('a database that is loaded takes its write-ahead log besides, which is bounded', () => {
  expect(loadedBytes(1000)).toBe(2000);
  expect(loadedBytes(100 * 2 ** 30)).toBe(102 * 2 ** 30);
});

test('several findings are told at once: the first is the error, the others are its details', () => {
  const finding = (code: string, hint?: string) =>
    new OperatorError(code, `it is ${code}`, { exitCode: EXIT.schema, ...(hint ? { hint } : {}) });
  expect(() => allAtOnce([])).not.toThrow();
  const [one, two] = [finding('A', 'do a'), finding('B', 'do b')];
  expect(() => allAtOnce([one])).toThrow(one);
  let thrown: unknown;
  try {
    allAtOnce([one, two, finding('C')]);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({
    code: 'A',
    exitCode: EXIT.schema,
    hint: 'do a',
    details: ['it is B: do b', 'it is C'],
  });
});
