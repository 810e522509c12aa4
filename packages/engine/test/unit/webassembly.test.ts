import { execFileSync } from 'node:child_process';
import { expect, test } from '@jest/globals';

const engine = new URL('../../', import.meta.url);

/** Megabytes that a process takes which reads a migration some times with PostgreSQL's parser, and stays for a second. */
function memoryOfParser(before: string): number {
  const script = `
    import { readFileSync } from 'node:fs';
    import { loadModule, parseSync } from 'libpg-query';
    import { optimize, skipOptimizing } from './src/database/webassembly.ts';
    ${before}
    await loadModule();
    const text = readFileSync('../../schema/migrations/0004_configuration_plane.sql', 'utf8');
    for (let n = 0; n < 20; n++) parseSync(text);
    setTimeout(() => console.log(process.resourceUsage().maxRSS), 1000);`;
  const options = { cwd: engine, encoding: 'utf8' } as const;
  return Number(execFileSync('node', ['--input-type=module', '-e', script], options)) / 1024;
}

test("PostgreSQL's parser fits into a small machine, unless an embedded database wants V8's optimizing compiler", () => {
  expect(memoryOfParser('skipOptimizing();')).toBeLessThan(150);
  // Should V8 learn to do with less, webassembly.ts can go.
  expect(memoryOfParser('skipOptimizing(); optimize();')).toBeGreaterThan(300);
}, 60_000);
