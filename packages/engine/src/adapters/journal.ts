import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';

/** One line of `.operator/journal.jsonl`: what cannot be seen later. Never a secret. */
export interface JournalEntry {
  at: string;
  run: string;
  event: 'run-started' | 'step-started' | 'step-finished' | 'run-finished' | 'run-failed';
  command?: string;
  goal?: string;
  step?: string;
  error?: string;
}

export interface Journal {
  append(entry: Omit<JournalEntry, 'at'>): Promise<void>;
}

/** Appends to `journal.jsonl` in the state directory and flushes each line to disk. */
export function fileJournal(stateDirectory: string): Journal {
  return {
    async append(entry) {
      await mkdir(stateDirectory, { recursive: true, mode: 0o700 });
      const file = await open(join(stateDirectory, 'journal.jsonl'), 'a', 0o600);
      try {
        await file.write(`${JSON.stringify({ at: new Date().toISOString(), ...entry })}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
    },
  };
}
