import { mkdtemp, readdir, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { directoryDestination } from '../../src/backup/destination.ts';

test('what a killed run left in a folder a day ago is removed by the next copy; what is being written now is not', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kg-folder-'));
  const source = join(await mkdtemp(join(tmpdir(), 'kg-source-')), 'bundle');
  await writeFile(source, 'bundle');
  await writeFile(join(folder, 'kg-1.tar.age.partial'), 'half');
  await writeFile(join(folder, 'kg-2.tar.age.partial'), 'half');
  const yesterday = new Date(Date.now() - 25 * 3_600_000);
  await utimes(join(folder, 'kg-1.tar.age.partial'), yesterday, yesterday);
  const destination = directoryDestination('disk', folder);
  await destination.putFile('kg-3.tar.age', source);
  expect((await readdir(folder)).sort()).toEqual(['kg-2.tar.age.partial', 'kg-3.tar.age']);
  expect(await destination.list()).toEqual([{ name: 'kg-3.tar.age', size: 6 }]);
});
