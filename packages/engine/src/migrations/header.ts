/** `expand`: the previous application version still runs on the new schema; `contract`: it does not. */
export type MigrationKind = 'expand' | 'contract';
/**
 * `whole`: the file and its ledger row commit together. `none`: statement by statement, for what PostgreSQL refuses inside a transaction.
 * `own`: the same, and the file's BEGIN … COMMIT blocks are one unit each.
 */
export type TransactionMode = 'whole' | 'none' | 'own';

/** What a file says of itself in the `-- key: value` lines it begins with. */
export interface Header {
  /** `contract` where the file does not say: the assumption that can't hurt. */
  kind: MigrationKind;
  /** Whether the file says so itself. */
  kindIsDeclared: boolean;
  transaction: TransactionMode;
  /** statement_timeout in milliseconds, 0: none; null: the runner's. */
  timeoutMs: number | null;
  /** lock_timeout in milliseconds, 0: none; null: the runner's. */
  lockTimeoutMs: number | null;
  description: string | null;
}

const KEYS = ['kind', 'transaction', 'timeout', 'lock-timeout', 'description'];
const LINE = /^--\s*([A-Za-z][A-Za-z_-]*)\s*:\s*(.*?)\s*$/;
const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, min: 60_000, h: 3_600_000 };

/**
 * Reads the comment lines a text begins with. A line that is no `-- key: value` is a comment like any other; so is one whose key is
 * nothing like ours.
 * @throws HeaderError for a value that means nothing, a key given twice, and a key that is one of ours misspelt
 */
export function parseHeader(sql: string): Header {
  const found = new Map<string, { value: string; line: number }>();
  for (const [index, text] of sql.split('\n', 200).entries()) {
    if (!text.startsWith('--')) {
      if (text.trim() === '') continue;
      break;
    }
    const [, name = '', value = ''] = LINE.exec(text) ?? [];
    const key = name.toLowerCase();
    const line = index + 1;
    if (KEYS.includes(key)) {
      if (found.has(key))
        throw new HeaderError(line, `"${key}" is given twice, first on line ${found.get(key)?.line}`);
      found.set(key, { value, line });
    } else {
      const meant = KEYS.find((known) => isMisspelt(key, known));
      if (meant) throw new HeaderError(line, `"${name}" is no key of the header; did you mean "${meant}"?`);
    }
  }
  const pick = <T>(key: string, read: (value: string) => T | undefined, allowed: string): T | null => {
    const entry = found.get(key);
    if (!entry) return null;
    const value = read(entry.value);
    if (value === undefined) throw new HeaderError(entry.line, `"${key}" must be ${allowed}`);
    return value;
  };
  const kind = pick('kind', oneOf('expand', 'contract'), 'expand or contract');
  return {
    kind: kind ?? 'contract',
    kindIsDeclared: kind !== null,
    transaction: pick('transaction', oneOf('none', 'own'), 'none or own') ?? 'whole',
    timeoutMs: pick('timeout', parseDuration, 'a time such as 30s, 500ms, 5min, 2h or 0'),
    lockTimeoutMs: pick('lock-timeout', parseDuration, 'a time such as 5s, 500ms or 0'),
    description: pick('description', (value) => value || undefined, 'a text'),
  };
}

export class HeaderError extends Error {
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

/** Milliseconds of `500ms`, `30s`, `5min`, `2h` or `0`, PostgreSQL's own spelling; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  const [, number = '', unit = ''] = /^(\d{1,9})\s*(ms|s|min|h)$/.exec(text) ?? [];
  const ms = Number(number) * (UNIT_MS[unit] ?? Number.NaN);
  // PostgreSQL keeps both timeouts in 31 bits of milliseconds.
  return number !== '' && ms < 2 ** 31 ? ms : undefined;
}

function oneOf<T extends string>(...values: T[]): (value: string) => T | undefined {
  return (value) => values.find((allowed) => allowed === value);
}

const SYNONYMS: Record<string, string[]> = {
  transaction: ['transactional', 'tx'],
  timeout: ['statement-timeout'],
};

function isMisspelt(key: string, known: string): boolean {
  const plain = key.replaceAll('_', '-');
  if (plain === known || SYNONYMS[known]?.includes(plain)) return true;
  return plain.length > 2 && distance(plain, known) <= (known.length > 4 ? 2 : 1);
}

/** Levenshtein's: https://en.wikipedia.org/wiki/Levenshtein_distance */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(change, (row[j] as number) + 1, (next[j - 1] as number) + 1);
    }
    row = next;
  }
  return row[b.length] as number;
}
