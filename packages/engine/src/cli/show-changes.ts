import type { ChangeEntry, RecordedChange } from '../config/changes.ts';
import { minute } from './age.ts';
import { table } from './table.ts';

/** A line for each entry, those of one change together. */
export function showChanges(changes: RecordedChange[]): string {
  const rows = changes.flatMap(({ at, actor, entries }) =>
    entries.map((entry, index) => [
      index === 0 ? minute(at) : '',
      index === 0 ? actor : '',
      entry.topic ?? '-',
      entry.action,
      entry.subject,
      describeEntry(entry),
    ]),
  );
  return table(['WHEN (UTC)', 'WHO', 'TOPIC', 'ACTION', 'SUBJECT', 'BEFORE → AFTER'], rows);
}

/** What an entry changed: every fact that differs; of what is new, every fact; of what is gone, only that. */
export function describeEntry({ before, after }: ChangeEntry): string {
  if (after === null) return before === null ? '' : 'deleted';
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after)])];
  return names
    .flatMap((name) => {
      const [was, is] = [text(before?.[name]), text(after[name])];
      if (before === null) return is === '' || is === 'no' ? [] : [`${label(name)} ${is}`];
      return was === is ? [] : [`${label(name)} ${was || '-'} → ${is || '-'}`];
    })
    .join(', ');
}

function text(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** `maxTokens` as it is written on the command line; what the history holds of a secret is its fingerprint. */
function label(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
