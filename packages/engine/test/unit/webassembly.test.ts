import { execFileSync } from 'node:child_process';
import { expect, test } from '@jest/globals';

const engine = new URL('../../', import.meta.url);

/** The most megabytes of a process that reads a migration with PostgreSQL's parser again and again for so long, or until they are enough. */
function memoryOfParser(before: string, seconds: number, enough: number): number {
  const script = `
    import { readFileSync } from 'node:fs';
    import { loadModule, parseSync } from 'libpg-query';
    import { optimize, skipOptimizing } from './src/database/webassembly.ts';
    ${before}
    await loadModule();
    const text = readFileSync('../../schema/migrations/0004_configuration_plane.sql', 'utf8');
    const until = performance.now() + ${seconds * 1000};
    // Not maxRSS of getrusage: across fork and exec it keeps the peak of the process that started this one, jest's worker.
    const peak = () => /^VmHWM:\\s+(\\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1] / 1024;
    while (performance.now() < until && peak() < ${enough}) {
      parseSync(text);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    console.log(peak());`;
  const options = { cwd: engine, encoding: 'utf8' } as const;
  return Number(execFileSync('node', ['--input-type=module', '-e', script], options));
}

test("PostgreSQL's parser fits into a small machine, unless an embedded database wants V8's optimizing compiler", () => {
  expect(memoryOfParser('skipOptimizing();', 3, 300)).toBeLessThan(150);
  // Should V8 learn to do with less, webassembly.ts can go.
  expect(memoryOfParser('skipOptimizing(); optimize();', 30, 300)).toBeGreaterThanOrEqual(300);
}, 60_000);
