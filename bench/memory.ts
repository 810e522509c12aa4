import { execFileSync } from 'node:child_process';
import { setInterval } from 'node:timers/promises';

/**
 * The most memory, in bytes, that the programs in a container held at one moment while `use` ran: the sum of their resident sets, looked at
 * five times a second. What ran before is not counted.
 */
export async function peakMemory(container: string, use: () => Promise<unknown>): Promise<number> {
  const idle = new Set(resident(container).map(({ pid }) => pid));
  let peak = 0;
  const stop = new AbortController();
  const watching = (async () => {
    for await (const _ of setInterval(200, undefined, { signal: stop.signal })) {
      const now = resident(container).filter(({ pid }) => !idle.has(pid));
      peak = Math.max(
        peak,
        now.reduce((sum, { bytes }) => sum + bytes, 0),
      );
    }
  })().catch((error: Error) => {
    if (error.name !== 'AbortError') throw error;
  });
  try {
    await use();
  } finally {
    stop.abort();
    await watching;
  }
  return peak;
}

function resident(container: string): { pid: string; bytes: number }[] {
  const lines = execFileSync('docker', ['top', container, '-eo', 'pid,rss'], { encoding: 'utf8' });
  return lines
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .map(([pid = '', kilobytes]) => ({ pid, bytes: Number(kilobytes) * 1024 }));
}
