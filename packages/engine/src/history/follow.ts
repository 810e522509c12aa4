import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JournalEntry } from '../adapters/journal.ts';
import { newLines, parseLine } from './lines.ts';
import { type RunLine, runLogPath } from './log.ts';

/** What a run's journal says, and what its steps say, in the order in which it happened. */
export type RunEvent = JournalEntry | ({ event: 'line'; run: string } & RunLine);

const POLL_MS = 200;
const ALIVE_MS = 2000;
const ENDS: RunEvent['event'][] = ['run-finished', 'run-failed', 'run-given-up'];

interface FollowOptions {
  signal?: AbortSignal;
  /** Whether somebody is at the run. Asked while nothing is written: once it says no, what was still written is given, and it ends. */
  alive?: () => Promise<boolean>;
  pollMs?: number;
  aliveMs?: number;
}

/**
 * Yields everything that was and is written about one run, from its beginning until it has ended. Files are read again and again: bind
 * mounts don't always tell of changes.
 * @throws the signal's reason
 */
export async function* followRun(
  stateDirectory: string,
  run: string,
  { signal, alive, pollMs = POLL_MS, aliveMs = ALIVE_MS }: FollowOptions = {},
): AsyncGenerator<RunEvent, void, undefined> {
  const look = lookAt(stateDirectory, run);
  let asked = performance.now();
  let dead = false;
  for (;;) {
    signal?.throwIfAborted();
    const events = await look();
    yield* events;
    if (dead || events.some(({ event }) => ENDS.includes(event))) return;
    if (events.length > 0) asked = performance.now();
    else if (alive && performance.now() - asked >= aliveMs) {
      dead = !(await alive());
      asked = performance.now();
      if (dead) continue; // it may have written its last words between the look and the question
    }
    await pause(pollMs, signal);
  }
}

/** Each call gives what is new. */
function lookAt(stateDirectory: string, run: string): () => Promise<RunEvent[]> {
  const journal = newLines(join(stateDirectory, 'journal.jsonl'));
  const log = newLines(runLogPath(stateDirectory, run));
  const started = new Set<number>();
  let early: RunEvent[] = [];
  return async () => {
    // The journal first: what a step said before it finished is then in the log that is read after it.
    const entries = (await journal())
      .flatMap((line) => parseLine<JournalEntry>(line) ?? [])
      .filter((entry) => entry.run === run);
    const lines = (await log())
      .flatMap((line) => parseLine<RunLine>(line) ?? [])
      .map((line): RunEvent => ({ event: 'line', run, ...line }));
    for (const entry of entries) if (entry.event === 'step-started') started.add(entry.index);
    const isOver = entries.some(({ event }) => ENDS.includes(event));
    const isDue = (line: RunEvent) => isOver || ('index' in line && started.has(line.index));
    const all = [...early, ...lines];
    // A step that began after the journal was read may have spoken already.
    early = all.filter((line) => !isDue(line));
    return merge(entries, all.filter(isDue));
  };
}

/** Keeps the order of both; what has one time: a step's beginning, its lines, its end. */
function merge(entries: JournalEntry[], lines: RunEvent[]): RunEvent[] {
  const merged: RunEvent[] = [];
  let next = 0;
  for (const entry of entries) {
    // Within a millisecond: what a step says comes after its beginning, and before any end.
    const isEnd = entry.event === 'step-finished' || ENDS.includes(entry.event);
    const isBefore = ({ at }: RunEvent) => (isEnd ? at <= entry.at : at < entry.at);
    for (let line = lines[next]; line && isBefore(line); line = lines[++next]) merged.push(line);
    merged.push(entry);
  }
  return [...merged, ...lines.slice(next)];
}

/** Ends early with the signal; whoever waits looks at it. */
async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(milliseconds, undefined, signal ? { signal } : {});
  } catch (error) {
    if (!signal?.aborted) throw error;
  }
}
