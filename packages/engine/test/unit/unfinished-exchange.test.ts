import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { forgetExchange, noteExchange, unfinishedExchange } from '../../src/backup/unfinished.ts';

test('an exchange is known until it is settled by the run that has begun it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kg-exchange-'));
  const state = join(folder, 'state');
  const exchange = { incoming: 'kg_restore_1', outgoing: 'kg_before_1' };
  expect(await unfinishedExchange(state)).toBeNull(); // not even the folder is there
  await noteExchange(state, exchange);
  expect(await unfinishedExchange(state)).toEqual(exchange);
  await forgetExchange(state, 'kg_before_2');
  expect(await unfinishedExchange(state)).toEqual(exchange);
  await forgetExchange(state, 'kg_before_1');
  expect(await unfinishedExchange(state)).toBeNull();
  await writeFile(join(state, 'exchange.json'), '{"incoming": "kg_');
  expect(await unfinishedExchange(state)).toBeNull();
  await rm(folder, { recursive: true });
});
