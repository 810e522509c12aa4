import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { readSecret, Secret } from '../../src/index.ts';

describe('Secret', () => {
  test('no way of printing shows it', () => {
    const secret = new Secret('hunter2');
    for (const text of [
      String(secret),
      `${secret}`,
      JSON.stringify([secret]),
      inspect({ secret }, { showHidden: true }),
      Object.values(secret).join(),
    ]) {
      expect(text).not.toContain('hunter2');
    }
  });

  test('comes from the variable or its file, without the last newline; both missing names both', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'kg-')), 'secret');
    writeFileSync(file, 'from file\n');
    expect(readSecret('NAME', { NAME: 'direct' }).reveal()).toBe('direct');
    expect(readSecret('NAME', { NAME_FILE: file }).reveal()).toBe('from file');
    expect(() => readSecret('NAME', {})).toThrow(/NAME.*NAME_FILE/);
    expect(() => readSecret('NAME', { NAME_FILE: '/nowhere' })).toThrow(/ENOENT/);
  });
});
