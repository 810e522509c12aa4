import { comparePaths } from './document.ts';
import { type SecretFacts, type StoredConfiguration, secretKey } from './document-stored.ts';

/** One value that differs. */
export interface ConfigurationChange {
  /** From the top of the document: `users.bob.role`. */
  path: string;
  action: 'add' | 'change' | 'remove';
  /** Null: not there. A secret is its source and fingerprint. */
  before: ChangeValue | null;
  after: ChangeValue | null;
}

export type ChangeValue = string | number | boolean | SecretFacts | Record<string, never>;

/** What differs between two states, in the order of the document. */
export function diffConfiguration(
  before: StoredConfiguration,
  after: StoredConfiguration,
): ConfigurationChange[] {
  const was = leavesOf(before);
  const is = leavesOf(after);
  const paths = [...new Map([...was, ...is].map(([key, { path }]) => [key, path])).entries()];
  paths.sort(([, one], [, other]) => comparePaths(one, other));
  return paths.flatMap(([key, path]) => {
    const old = was.get(key)?.value ?? null;
    const now = is.get(key)?.value ?? null;
    if (JSON.stringify(old) === JSON.stringify(now)) return [];
    const action = old === null ? ('add' as const) : now === null ? ('remove' as const) : ('change' as const);
    return [{ path: path.join('.'), action, before: old, after: now }];
  });
}

type Leaves = Map<string, { path: string[]; value: ChangeValue }>;

/** Every value by its path; an entry without any field is a value of its own. */
function leavesOf({ document: { version, ...sections }, secrets }: StoredConfiguration): Leaves {
  const leaves: Leaves = new Map();
  const walk = (value: unknown, path: string[]): void => {
    const key = secretKey(path);
    const facts = secrets.get(key);
    if (facts) leaves.set(key, { path, value: facts });
    else if (typeof value !== 'object' || value === null)
      leaves.set(key, { path, value: value as string | number | boolean });
    else if (Object.keys(value).length === 0) leaves.set(key, { path, value: {} });
    else for (const [name, item] of Object.entries(value)) walk(item, [...path, name]);
  };
  for (const [name, section] of Object.entries(sections)) walk(section, [name]);
  return leaves;
}

/** For a person, one line each: `+ users.bob.role  user`. */
export function describeChanges(changes: ConfigurationChange[]): string[] {
  const width = Math.max(...changes.map(({ path }) => path.length));
  const mark = { add: '+', change: '~', remove: '-' };
  return changes.map((change) =>
    `${mark[change.action]} ${change.path.padEnd(width)}  ${describeChange(change)}`.trimEnd(),
  );
}

function describeChange({ path, before, after }: ConfigurationChange): string {
  if (before === null || after === null) return describe(path, after ?? before);
  if (!isSecret(before) || !isSecret(after)) return `${describe(path, before)} → ${describe(path, after)}`;
  if (before.fingerprint === after.fingerprint) return `the same, now ${origin(after)}`;
  return isPassword(path)
    ? `another, ${origin(after)}`
    : `fingerprint ${before.fingerprint ?? 'unknown'} → ${after.fingerprint ?? 'unknown'}, ${origin(after)}`;
}

function describe(path: string, value: ChangeValue | null): string {
  if (!isSecret(value)) return value === null || typeof value === 'object' ? '' : String(value);
  return isPassword(path) ? origin(value) : `fingerprint ${value.fingerprint ?? 'unknown'}, ${origin(value)}`;
}

/** Their fingerprints are salted: the same password has another one the next time, so a person learns nothing from it. */
function isPassword(path: string): boolean {
  return path.startsWith('users.');
}

function origin({ source }: SecretFacts): string {
  return source === null ? 'typed in' : `from ${source.replace(':', ' ')}`;
}

function isSecret(value: ChangeValue | null): value is SecretFacts {
  return typeof value === 'object' && value !== null && 'fingerprint' in value;
}
