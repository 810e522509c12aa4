import { closeSync, fstatSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
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

/** The file is made by the first line; lines of another process that went before stay. It is not flushed: after a power loss lines may lack. */
export function openRunLog(stateDirectory: string, id: string): RunLog {
  let file: number | null = null;
  let size = 0;
  let mayBeCut = false;
  const openIt = (): number => {
    mkdirSync(join(stateDirectory, RUNS), { recursive: true, mode: 0o700 });
    const opened = openSync(runLogPath(stateDirectory, id), 'a', 0o600);
    size = fstatSync(opened).size;
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

/** Removes all but the newest logs; for the beginning of a run. */
export async function removeOldRunLogs(stateDirectory: string, keep = KEPT_LOGS): Promise<void> {
  const folder = join(stateDirectory, RUNS);
  const names = (await namesIn(folder)).filter((name) => name.endsWith('.jsonl'));
  if (names.length <= keep) return;
  const aged = await Promise.all(
    names.map(async (name) => ({ name, at: (await stat(join(folder, name))).mtimeMs })),
  );
  for (const { name } of aged.toSorted((a, b) => b.at - a.at).slice(keep))
    await rm(join(folder, name), { force: true });
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
