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

/** In which order facts are read; the database does not keep any. */
const ORDER = [
  'role',
  'disabled',
  'provider',
  'model',
  'dimensions',
  'precision',
  'baseUrl',
  'endpoint',
  'bucket',
];

/** What an entry changed: every fact that differs; of what is new, every fact; of what is gone, only that. */
export function describeEntry({ subject, before, after }: ChangeEntry): string {
  if (after === null) return before === null ? '' : 'gone';
  const place = (name: string) => (ORDER.indexOf(name) + ORDER.length + 1) % (ORDER.length + 1);
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after)])].sort(
    (one, other) => place(one) - place(other) || (one < other ? -1 : 1),
  );
  return names
    .flatMap((name) => {
      // Said by the subject and the action.
      if (before === null && (name === 'active' || after[name] === subject)) return [];
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
