import { setTimeout as sleep } from 'node:timers/promises';

export interface TrafficReport {
  requests: number;
  /** Answers by status; 0: no answer. */
  statuses: Record<string, number>;
  /** Requests without a 2xx. */
  failed: number;
  /** From the first failure to the last; 0 without one. */
  gapMs: number;
  /** The longest time without a request that was answered by a 2xx. */
  silenceMs: number;
  /** How long answers took, failures included. */
  latencyMs: { p50: number; p99: number; max: number };
  /** Requests that took more than a second. */
  held: number;
  /** What was wrong, at most twenty of them. */
  failures: string[];
}

interface Done {
  sentMs: number;
  endedMs: number;
  status: number;
  said: string;
}

/** Sends requests at a steady rate, each without waiting for the one before, until `stop()`. */
export function startTraffic(
  send: (index: number) => Promise<Response>,
  perSecond = 20,
): { stop(): Promise<TrafficReport> } {
  let running = true;
  const pending: Promise<Done>[] = [];
  const started = performance.now();
  const one = async (index: number): Promise<Done> => {
    const sentMs = performance.now();
    const [status, said] = await send(index).then(
      async (response) => [response.status, await response.text()] as const,
      (error: Error) => [0, String(error.cause ?? error)] as const,
    );
    return { sentMs, endedMs: performance.now(), status, said };
  };
  const loop = (async () => {
    while (running) {
      pending.push(one(pending.length));
      await sleep(Math.max(0, started + (pending.length * 1000) / perSecond - performance.now()));
    }
  })();
  return {
    async stop() {
      running = false;
      await loop;
      return report(await Promise.all(pending), started);
    },
  };
}

function report(all: Done[], startedMs: number): TrafficReport {
  const statuses: Record<string, number> = {};
  for (const { status } of all) statuses[status] = (statuses[status] ?? 0) + 1;
  const isFailure = ({ status }: Done) => status < 200 || status > 299;
  const failures = all.filter(isFailure);
  const sent = failures.map(({ sentMs }) => sentMs);
  const answered = all.filter((one) => !isFailure(one)).map(({ endedMs }) => endedMs);
  const latencies = all.map(({ sentMs, endedMs }) => Math.round(endedMs - sentMs)).sort((a, b) => a - b);
  const at = (part: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))] ?? 0;
  return {
    requests: all.length,
    statuses,
    failed: failures.length,
    gapMs: sent.length === 0 ? 0 : Math.round(Math.max(...sent) - Math.min(...sent)),
    silenceMs: longestGap([startedMs, ...answered, Math.max(...all.map(({ endedMs }) => endedMs))]),
    latencyMs: { p50: at(0.5), p99: at(0.99), max: at(1) },
    held: latencies.filter((ms) => ms > 1000).length,
    failures: failures
      .slice(0, 20)
      .map(
        ({ sentMs, endedMs, status, said }) =>
          `${Math.round(sentMs - startedMs)} ms: ${status} after ${Math.round(endedMs - sentMs)} ms: ${said.slice(0, 200)}`,
      ),
  };
}

function longestGap(times: number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  const gaps = sorted.slice(1).map((time, index) => time - (sorted[index] as number));
  return Math.round(Math.max(0, ...gaps));
}
