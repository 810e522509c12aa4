/**
 * Samples the command lines of all processes of this host every 20 ms and appends each new one, as a JSON string per line, to a file.
 * Containers' processes are among them. Linux only: it reads /proc.
 *
 *   node process-watcher.ts FILE
 */
import { appendFileSync, readdirSync, readFileSync } from 'node:fs';

const INTERVAL_MS = 20;
const [file = ''] = process.argv.slice(2);
const seen = new Set<string>();

function sample(): void {
  const fresh: string[] = [];
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    let commandLine: string;
    try {
      commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    } catch {
      continue; // it has ended
    }
    if (commandLine === '' || seen.has(commandLine)) continue;
    seen.add(commandLine);
    fresh.push(`${JSON.stringify(commandLine.replaceAll('\0', ' '))}\n`);
  }
  if (fresh.length > 0) appendFileSync(file, fresh.join(''));
}

sample();
setInterval(sample, INTERVAL_MS);
