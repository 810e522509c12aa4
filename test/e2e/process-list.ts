import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './wait.ts';

/** The process list over time; see process-watcher.ts. */
export interface ProcessList {
  /** Every command line seen so far. */
  seen(): string[];
  stop(): Promise<void>;
}

export async function watchProcesses(): Promise<ProcessList> {
  const directory = mkdtempSync(join(tmpdir(), 'kge2e-ps-'));
  const file = join(directory, 'command-lines');
  const child: ChildProcess = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'process-watcher.ts'), file],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  await until('the process watcher is running', () => existsSync(file), { seconds: 20 });
  let last: string[] = [];
  const seen = () => {
    if (!existsSync(file)) return last;
    if (child.exitCode !== null) throw new Error(`the process watcher ended with ${child.exitCode}`);
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
    last = lines.map((line) => JSON.parse(line) as string);
    return last;
  };
  return {
    seen,
    async stop() {
      if (child.killed) return;
      seen();
      const ended = once(child, 'exit');
      child.kill();
      await ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
