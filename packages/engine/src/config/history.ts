export { type Actor, type Change, type ChangeRecord, changeConfig, recordChange } from '@kg-operator/config';

/** The topics of the history. */
export const CONFIG_TOPICS = [
  'admin',
  'claim',
  'ai-provider',
  'embedding',
  'api-key',
  'garage',
  'setting',
  'rotate',
  'backup',
] as const;

/** Whether two records of plain values hold the same, in whatever order. */
export function sameFacts(one: object, other: object): boolean {
  return canonical(one) === canonical(other);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, item) =>
    item !== null && typeof item === 'object' && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}
