import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Timed } from './measure.ts';

const CLI = join(import.meta.dirname, '..', 'packages', 'engine', 'bin', 'run.js');
const READY_SECONDS = 120;

/** `kg-operator dev` until its API says it is ready; `fresh` starts on an empty data directory each time. */
export function embedded(fresh: boolean): { timed: Timed; memory: number[]; cleanUp: () => void } {
  const home = mkdtempSync(join(tmpdir(), 'kg-bench-'));
  const data = join(home, 'data');
  const memory: number[] = [];
  let child: ChildProcess | undefined;

  return {
    memory,
    cleanUp: () => rmSync(home, { recursive: true, force: true }),
    timed: {
      show: `kg-operator dev${fresh ? ' (first start)' : ''}`,
      before: () => {
        if (fresh) rmSync(data, { recursive: true, force: true });
      },
      async run() {
        child = spawn(process.execPath, [CLI, 'dev', '--port', '0', '--data', data], {
          env: { ...process.env, KG_ADMIN_PASSWORD: 'a password for the bench' },
          stdio: ['ignore', 'pipe', 'ignore'],
        });
        await ready(await address(child));
      },
      async after() {
        if (!child) return;
        memory.push(residentMegabytes(child.pid as number));
        const ended = once(child, 'exit');
        child.kill('SIGINT');
        await ended;
      },
    },
  };
}

async function address(child: ChildProcess): Promise<string> {
  let output = '';
  for await (const chunk of child.stdout ?? []) {
    output += String(chunk);
    const url = /Web app +(http:\S+)/.exec(output)?.[1];
    if (url) {
      child.stdout?.resume();
      return url;
    }
  }
  throw new Error(`kg-operator dev ended without an address: ${output}`);
}

async function ready(url: string): Promise<void> {
  const deadline = performance.now() + READY_SECONDS * 1000;
  while (performance.now() < deadline) {
    if ((await fetch(`${url.replace(/\/$/, '')}/api/ready`)).ok) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${url} was not ready within ${READY_SECONDS} s`);
}

/** VmRSS of a process, from Linux's /proc. */
function residentMegabytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) / 1000;
}
