import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExitCode } from '../model/errors.ts';
import type { Step } from '../model/plan.ts';
import type { ReleasePins } from '../upgrade/pins.ts';

/**
 * One line of `.operator/journal.jsonl`: what cannot be seen later. Never a secret. `run` is the id of the run it belongs to. A run without
 * one of the three last events was cut off, or is under way.
 */
export type JournalEvent =
  | ({ event: 'run-started'; run: string } & RunStart)
  /** Another process goes on with it: after it was cut off, or by a hand-over. */
  | { event: 'run-continued'; run: string; engine: string }
  | { event: 'step-started'; run: string; index: number; step: Step['kind'] }
  | { event: 'step-finished'; run: string; index: number; step: Step['kind'] }
  | { event: 'run-finished'; run: string }
  | {
      event: 'run-failed';
      run: string;
      error: string;
      code?: string;
      exitCode?: ExitCode;
      hint?: string | undefined;
    }
  /** A person gave it up for another: rollback after an upgrade that was cut off. */
  | { event: 'run-given-up'; run: string; for: string };

export interface RunStart {
  /** As it was typed, without what could be a secret. */
  command: string;
  goal: string;
  /** Who typed it. */
  actor?: string | undefined;
  /** Version of the engine that made the plan. */
  engine?: string;
  steps: Step[];
  /** Upgrades and rollbacks only: from which release to which. */
  change?: ReleaseChange;
}

export interface ReleaseChange {
  kind: 'upgrade' | 'rollback';
  from: ReleasePins;
  /** Every release that is walked, with all its images; the last is the target. */
  path: ReleasePins[];
  /** The head of the schema when it began; null: no migration yet. */
  head: string | null;
  /** The run that this one undoes by itself. */
  undoes: string | null;
  /** The backup made for it; null: `--no-backup` was typed, or none is wanted. */
  backup: string | null;
  /** What whoever goes on with it must know of where it is: names and values of COMPOSE_… and KG_…, no secrets. */
  environment: Record<string, string>;
}

export type JournalEntry = JournalEvent & { at: string };

/** Of a journal of years; what is left out is not parsed. */
export interface JournalPart {
  /** Only from the last line on that holds this text; none holds it: nothing. */
  since: string;
  /** Of those, only lines that hold this text. */
  holding: string;
}

export interface Journal {
  append(entry: JournalEvent): Promise<void>;
  /**
   * All entries, oldest first, or the part that is asked for; none where there is no journal. A last line that was cut off is passed over.
   */
  read(part?: JournalPart): Promise<JournalEntry[]>;
}

/** Appends to `journal.jsonl` in the state directory and flushes each line to disk. */
export function fileJournal(stateDirectory: string): Journal {
  const path = join(stateDirectory, 'journal.jsonl');
  return {
    async append(entry) {
      await mkdir(stateDirectory, { recursive: true, mode: 0o700 });
      const file = await open(path, 'a+', 0o600);
      try {
        await file.write(
          `${await lineFeed(file)}${JSON.stringify({ at: new Date().toISOString(), ...entry })}\n`,
        );
        await file.sync();
      } finally {
        await file.close();
      }
    },
    async read(part) {
      return parseJournal(await readIfThere(path), part);
    },
  };
}

/** Lines that are no JSON were cut off by a power loss: what they would have said did not happen. */
export function parseJournal(text: string, part?: JournalPart): JournalEntry[] {
  const entries: JournalEntry[] = [];
  for (const line of linesOf(text, part)) {
    if (line === '') continue;
    try {
      entries.push(JSON.parse(line) as JournalEntry);
    } catch {
      // see above
    }
  }
  return entries;
}

function linesOf(text: string, part: JournalPart | undefined): string[] {
  if (!part) return text.split('\n');
  const at = text.lastIndexOf(part.since);
  if (at === -1) return [];
  const lines = text.slice(text.lastIndexOf('\n', at) + 1).split('\n');
  return lines.filter((line) => line.includes(part.holding));
}

/** After a line that was cut off the next one begins anew. */
async function lineFeed(file: Awaited<ReturnType<typeof open>>): Promise<string> {
  const { size } = await file.stat();
  if (size === 0) return '';
  const last = Buffer.alloc(1);
  await file.read(last, 0, 1, size - 1);
  return last.toString() === '\n' ? '' : '\n';
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
