export interface Check {
  name: string;
  ok: boolean;
  /** `ok`, what is to be said all the same, or why not; in words that may be shown to anyone. */
  message: string;
}

export interface Readiness {
  ready: boolean;
  checks: Check[];
}

/** Something the API needs; it fails when that can't be used. */
export interface Probe {
  name: string;
  /** What it means for the user when the probe fails. */
  failure: string;
  /** A text that it resolves with is what is to be said although it can be used. */
  run(): Promise<unknown>;
}

/** One probe may take this long. */
const TIMEOUT_MS = 3_000;
/** An answer is given again for this long: `/ready` needs no login, and must not be a way to load the database. */
const FRESH_MS = 1_000;

/** Runs all probes at once; requests that arrive meanwhile get the same answer. */
export function readiness(
  probes: Probe[],
  { timeoutMs = TIMEOUT_MS, freshMs = FRESH_MS, now = Date.now } = {},
): () => Promise<Readiness> {
  let last: { at: number; result: Promise<Readiness> } | undefined;
  return () => {
    if (!last || now() - last.at >= freshMs) {
      last = { at: now(), result: runAll(probes, timeoutMs) };
    }
    return last.result;
  };
}

async function runAll(probes: Probe[], timeoutMs: number): Promise<Readiness> {
  const checks = await Promise.all(probes.map((probe) => runOne(probe, timeoutMs)));
  return { ready: checks.every(({ ok }) => ok), checks };
}

async function runOne({ name, failure, run }: Probe, timeoutMs: number): Promise<Check> {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => timeout.reject(new Error(`no answer within ${timeoutMs / 1000} s`)),
    timeoutMs,
  );
  try {
    const remark = await Promise.race([run(), timeout.promise]);
    return { name, ok: true, message: typeof remark === 'string' ? remark : 'ok' };
  } catch (error) {
    return { name, ok: false, message: `${failure}: ${shortReason(error)}` };
  } finally {
    clearTimeout(timer);
  }
}

/** The short form of an error: its code where there is one, since messages of drivers name addresses and users. */
export function shortReason(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && code ? code : error.message;
}
