import { setTimeout as sleep } from 'node:timers/promises';

export interface TrafficReport {
  requests: number;
  /** Answers by status; 0: no answer. */
  statuses: Record<string, number>;
  /** Requests without a 2xx. */
  failed: number;
  /** From the first failure to the last; 0 without one. */
  gapMs: number;
}

/** Sends requests at a steady rate, each without waiting for the one before, until `stop()`. */
export function startTraffic(
  send: () => Promise<Response>,
  perSecond = 20,
): { stop(): Promise<TrafficReport> } {
  let running = true;
  const failures: number[] = [];
  const statuses: Record<string, number> = {};
  const pending: Promise<void>[] = [];
  const one = async () => {
    const at = performance.now();
    const status = await send().then(
      async (response) => {
        await response.arrayBuffer();
        return response.status;
      },
      () => 0,
    );
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (status < 200 || status > 299) failures.push(at);
  };
  const loop = (async () => {
    const started = performance.now();
    while (running) {
      pending.push(one());
      await sleep(Math.max(0, started + (pending.length * 1000) / perSecond - performance.now()));
    }
  })();
  return {
    async stop() {
      running = false;
      await loop;
      await Promise.all(pending);
      const gapMs = failures.length === 0 ? 0 : Math.round(Math.max(...failures) - Math.min(...failures));
      return { requests: pending.length, statuses, failed: failures.length, gapMs };
    },
  };
}
