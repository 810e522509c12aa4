import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { openEmbedded } from '../../src/database/embedded.ts';

test('files that are no whole database are refused, never cleared away', async () => {
  const data = mkdtempSync(join(tmpdir(), 'kg-embedded-'));
  mkdirSync(join(data, 'postgres', 'base'), { recursive: true });
  writeFileSync(join(data, 'postgres', 'base', '1'), 'rows');
  await expect(openEmbedded(data)).rejects.toMatchObject({ code: 'DATABASE_DAMAGED', exitCode: 3 });
  expect(readFileSync(join(data, 'postgres', 'base', '1'), 'utf8')).toBe('rows');
});
