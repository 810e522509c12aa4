import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';

/** A command to time; `before` and `after` are not timed. */
export interface Timed {
  show: string;
  before?: () => void | Promise<void>;
  run: () => void | Promise<void>;
  after?: () => void | Promise<void>;
}

/** One line of the table: two quantities of the same unit. */
export interface Comparison {
  name: string;
  ours: string;
  peer: string;
  oursValue: number;
  peerValue: number;
  unit: 'ms' | 'MB';
}

/** Medians of `runs` runs of each, taken in turns, after one turn that does not count. */
export async function compare(name: string, ours: Timed, peer: Timed, runs: number): Promise<Comparison> {
  const times = { ours: [] as number[], peer: [] as number[] };
  for (let turn = -1; turn < runs; turn++) {
    for (const [side, command] of [
      ['ours', ours],
      ['peer', peer],
    ] as const) {
      await command.before?.();
      const started = performance.now();
      await command.run();
      if (turn >= 0) times[side].push(performance.now() - started);
      await command.after?.();
    }
  }
  const comparison: Comparison = {
    name,
    ours: ours.show,
    peer: peer.show,
    oursValue: median(times.ours),
    peerValue: median(times.peer),
    unit: 'ms',
  };
  console.error(row(comparison));
  return comparison;
}

export function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** A row of the Markdown table. */
export function row({ name, ours, peer, oursValue, peerValue, unit }: Comparison): string {
  const ratio = (oursValue / peerValue).toFixed(2);
  return `| ${name} | \`${ours}\` ${quantity(oursValue, unit)} | \`${peer}\` ${quantity(peerValue, unit)} | **${ratio}** |`;
}

function quantity(value: number, unit: 'ms' | 'MB'): string {
  if (unit === 'ms' && value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`;
}

/** Writes a table, and what it was measured on, between `<!-- SECTION -->` and `<!-- end SECTION -->` of README.md. */
export function report(section: string, results: Comparison[]): void {
  const machine = `${cpus().length} cores (${cpus()[0]?.model}), ${Math.round(totalmem() / 2 ** 30)} GiB`;
  const version = (...args: string[]) => execFileSync('docker', args, { encoding: 'utf8' }).trim();
  const docker = version('version', '--format', 'Docker {{.Server.Version}}');
  const table = [
    `${new Date().toISOString().slice(0, 10)}, ${machine}, ${docker}, compose ${version('compose', 'version', '--short')}:`,
    '',
    '| what | ours | peer | ratio |',
    '|---|---|---|---|',
    ...results.map(row),
  ].join('\n');
  const readme = join(import.meta.dirname, 'README.md');
  const [begin, end] = [`<!-- ${section} -->\n`, `\n<!-- end ${section} -->`];
  const text = readFileSync(readme, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`README.md has no section ${section}`);
  writeFileSync(readme, text.slice(0, from + begin.length) + table + text.slice(to));
  console.log(table);
}
