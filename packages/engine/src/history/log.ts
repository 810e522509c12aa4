import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { newLines, parseLine } from './lines.ts';

/** What a step of a run said while it ran: one line of `.operator/runs/ID.jsonl`. Never a secret. */
export interface RunLine {
  /** ISO 8601. */
  at: string;
  /** Of the step in the run's plan. */
  index: number;
  line: string;
}

/** Writes what steps say. Nothing depends on it: a line that can't be written is lost, and the run goes on. */
export interface RunLog {
  write(index: number, line: string): void;
  close(): void;
}

const RUNS = 'runs';
const KEPT_LOGS = 50;
/** A hook may say anything, for ever. */
const LONGEST_LINE = 4000;
const LARGEST_LOG = 8_000_000;

export function runLogPath(stateDirectory: string, id: string): string {
  return join(stateDirectory, RUNS, `${id}.jsonl`);
}

/** The file is made by the first line, which removes all but the newest 50; lines of another process that went before stay. It is not flushed: after a power loss lines may lack. */
export function openRunLog(stateDirectory: string, id: string): RunLog {
  let file: number | null = null;
  let size = 0;
  let mayBeCut = false;
  const openIt = (): number => {
    mkdirSync(join(stateDirectory, RUNS), { recursive: true, mode: 0o700 });
    const opened = openSync(runLogPath(stateDirectory, id), 'a', 0o600);
    size = fstatSync(opened).size;
    if (size === 0) removeOldRunLogs(stateDirectory);
    mayBeCut = size > 0;
    return opened;
  };
  return {
    write(index, line) {
      if (size > LARGEST_LOG) return;
      const entry: RunLine = { at: new Date().toISOString(), index, line: line.slice(0, LONGEST_LINE) };
      try {
        file ??= openIt();
        size += writeSync(file, `${mayBeCut ? '\n' : ''}${JSON.stringify(entry)}\n`);
        mayBeCut = false;
      } catch {
        mayBeCut = true; // a disk that is full: what runs must not fail for what it says; the journal has what counts
      }
    },
    close() {
      if (file !== null) closeSync(file);
      file = null;
    },
  };
}

/** Oldest first; none where nothing was said, or the file was removed. */
export async function readRunLog(stateDirectory: string, id: string): Promise<RunLine[]> {
  const lines = await newLines(runLogPath(stateDirectory, id))();
  return lines.flatMap((line) => parseLine<RunLine>(line) ?? []);
}

/** Removes all but the newest logs. */
function removeOldRunLogs(stateDirectory: string): void {
  const folder = join(stateDirectory, RUNS);
  const names = readdirSync(folder).filter((name) => name.endsWith('.jsonl'));
  if (names.length <= KEPT_LOGS) return;
  const aged = names.map((name) => ({ name, at: statSync(join(folder, name)).mtimeMs }));
  for (const { name } of aged.toSorted((a, b) => b.at - a.at).slice(KEPT_LOGS))
    rmSync(join(folder, name), { force: true });
}
