import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { directoryDestination } from '../../src/backup/destination.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'leftovers-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('a copy removes what a killed one of the same installation has left, and nothing of others', async () => {
  const shared = join(folder, 'shared');
  const others = [
    'other-20261123T031500Z-a1b2c3.tar.age.partial',
    'kg-two-20261123T031500Z-a1b2c3.tar.age.partial',
    'kg-20261122T031500Z-a1b2c3.tar.age',
    'holiday.partial',
  ];
  const destination = directoryDestination('nas', shared);
  await destination.put('first', 'makes the folder');
  for (const name of [...others, 'kg-20261122T031500Z-ffffff.tar.age.partial'])
    await writeFile(join(shared, name), 'half');
  await writeFile(join(folder, 'bundle'), 'whole');
  await destination.putFile('kg-20261123T031500Z-b1b2b3.tar.age', join(folder, 'bundle'));
  expect((await readdir(shared)).sort()).toEqual(
    [...others, 'first', 'kg-20261123T031500Z-b1b2b3.tar.age'].sort(),
  );
});
