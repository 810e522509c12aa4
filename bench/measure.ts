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
  return `${value.toFixed(0)} ${unit}`;
}
