/** What is wrong with a document, one line each: the path of the member, and what it should be. */
export type Problems = string[];

/**
 * Reads one value of a parsed JSON document. A problem goes into `problems`; what is returned then is of no use. Only members that are
 * asked for are looked at.
 */
export type Read<T> = (value: unknown, at: string, problems: Problems) => T;
type ValueOf<R> = R extends Read<infer T> ? T : never;

/** A text, by default a non-empty one; `what` says what is expected. */
export function text(pattern = /[\s\S]/, what = 'a text that is not empty'): Read<string> {
  return (value, at, problems) => {
    if (typeof value !== 'string' || !pattern.test(value)) report(value, at, what, problems);
    return value as string;
  };
}

export function oneOf<T extends string>(...values: T[]): Read<T> {
  return text(new RegExp(`^(?:${values.join('|')})$`), values.join(' or ')) as Read<T>;
}

export function integer(minimum: number, maximum = Number.MAX_SAFE_INTEGER): Read<number> {
  return (value, at, problems) => {
    if (!Number.isSafeInteger(value) || Number(value) < minimum || Number(value) > maximum)
      report(value, at, `a whole number from ${minimum} to ${maximum}`, problems);
    return value as number;
  };
}

export const boolean: Read<boolean> = (value, at, problems) => {
  if (typeof value !== 'boolean') report(value, at, 'true or false', problems);
  return value as boolean;
};

/** A moment as `2026-11-23T12:00:00Z`: UTC, to the second or finer. */
export const instant: Read<string> = (value, at, problems) => {
  const isInstant =
    typeof value === 'string' &&
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/.test(value) &&
    !Number.isNaN(Date.parse(value)) &&
    // Date.parse takes the 31st of February for the 3rd of March.
    new Date(value).toISOString().slice(0, 19) === value.slice(0, 19);
  if (!isInstant) report(value, at, 'a time such as 2026-11-23T12:00:00Z', problems);
  return value as string;
};

export function nullable<T>(read: Read<T>): Read<T | null> {
  return (value, at, problems) => (value === null ? null : read(value, at, problems));
}

/** For a member that may be left out. */
export function optional<T>(read: Read<T>, otherwise: T): Read<T> {
  return (value, at, problems) => (value === undefined ? otherwise : read(value, at, problems));
}

export function list<T>(read: Read<T>, minimum = 0): Read<T[]> {
  return (value, at, problems) => {
    if (!Array.isArray(value) || value.length < minimum) {
      report(value, at, minimum > 0 ? `a list with at least ${minimum} item` : 'a list', problems);
      return [];
    }
    return value.map((item, index) => read(item, `${at}[${index}]`, problems));
  };
}

/** An object whose names are data. */
export function record<T>(key: RegExp, what: string, read: Read<T>): Read<Record<string, T>> {
  return (value, at, problems) => {
    if (!isObject(value)) {
      report(value, at, 'an object', problems);
      return {};
    }
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => {
        if (!key.test(name)) problems.push(`${at}: ${quote(name)} is no ${what}`);
        return [name, read(item, `${at}.${name}`, problems)];
      }),
    );
  };
}

/** An object with these members; others in it are ignored. */
export function object<S extends Record<string, Read<unknown>>>(
  members: S,
): Read<{ [K in keyof S]: ValueOf<S[K]> }> {
  return (value, at, problems) => {
    if (!isObject(value)) report(value, at || 'the document', 'an object', problems);
    const given = isObject(value) ? value : null;
    return Object.fromEntries(
      Object.entries(members).map(([name, read]) => [
        name,
        given
          ? read(Object.hasOwn(given, name) ? given[name] : undefined, at ? `${at}.${name}` : name, problems)
          : null,
      ]),
    ) as { [K in keyof S]: ValueOf<S[K]> };
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function report(value: unknown, at: string, what: string, problems: Problems): void {
  problems.push(
    value === undefined ? `${at} is missing: ${what}` : `${at} must be ${what}, not ${quote(value)}`,
  );
}

/** A value for a message: short, and nothing in it can move the cursor. */
export function quote(value: unknown): string {
  const written = JSON.stringify(value) ?? String(value);
  return written.length > 80 ? `${written.slice(0, 79)}…` : written;
}
