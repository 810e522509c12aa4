import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml';

/** One thing that is wrong with a file. The message never repeats a value: it may be a secret. */
export interface Problem {
  /** Of the value it is about, from the top. */
  path: readonly string[];
  /** What is wrong in words, starting with the path where that helps. */
  message: string;
  /** Whether the place is where the name is, rather than the value after it. */
  atKey?: boolean;
}

export interface Placed {
  /** Both count from 1. */
  line: number;
  column: number;
  message: string;
}

/** A YAML or JSON text that was read, or what is wrong with its syntax. */
export interface SyntaxTree {
  problems: Placed[];
  /** Plain values; `undefined` where there are problems. */
  value: unknown;
  /** Where the value at `path` is, or its name, or the nearest thing around them. */
  place(path: readonly string[], atKey?: boolean): { line: number; column: number };
}

/** Far above what thousands of users need; what takes the parser longest takes it seconds at this size. */
export const MAX_BYTES = 256 * 1024;

/** Reads YAML 1.2, of which JSON is a part: no aliases, no tags of anyone's own, no key twice. */
export function parseSyntax(bytes: Uint8Array): SyntaxTree {
  const lines = new LineCounter();
  const siteOf = (offset: number) => {
    // An empty text has no line yet.
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const failed = (message: string): SyntaxTree => ({
    problems: [{ line: 1, column: 1, message }],
    value: undefined,
    place: () => ({ line: 1, column: 1 }),
  });
  if (bytes.length > MAX_BYTES) return failed(`the file is larger than ${MAX_BYTES / 1024} KiB`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return failed('the file is not UTF-8 text');
  }
  const tree = parseDocument(text, {
    lineCounter: lines,
    version: '1.2',
    schema: 'core',
    stringKeys: true,
    // The library's check is quadratic; `formProblems` makes it.
    uniqueKeys: false,
    // They repeat the line, and in it maybe a secret.
    prettyErrors: false,
  });
  const syntax = [...tree.errors, ...tree.warnings].map(({ code, pos }) => ({
    ...siteOf(pos[0]),
    message: SYNTAX[code] ?? 'this is not YAML',
  }));
  const contents = tree.contents as Node | null;
  const find = finder(contents);
  const place = (path: readonly string[], atKey = false) => siteOf(find(path, atKey));
  try {
    const problems = syntax.length === 0 && contents ? formProblems(contents, siteOf) : syntax;
    const value = problems.length === 0 ? tree.toJS({ maxAliasCount: 0 }) : undefined;
    return { problems, value, place };
  } catch (error) {
    if (error instanceof RangeError) return failed('the file is nested too deep');
    throw error;
  }
}

/** What the parser's codes mean (https://eemeli.org/yaml/#errors); its own messages repeat parts of the text. */
const SYNTAX: Record<string, string> = {
  BAD_DQ_ESCAPE: 'this is no escape sequence: write the backslash twice, or use single quotes',
  BAD_INDENT: 'the indentation does not fit what is above',
  BAD_SCALAR_START: 'no value can begin like this: put it in quotes',
  BLOCK_AS_IMPLICIT_KEY: 'two values on one line: put text with ": " in quotes',
  MISSING_CHAR: 'a colon, comma, quote or bracket is missing',
  MULTILINE_IMPLICIT_KEY: 'a name must be on one line, with a colon after it',
  MULTIPLE_DOCS: 'a second document begins here: one file is one configuration',
  NON_STRING_KEY: 'a name must be text',
  RESOURCE_EXHAUSTION: 'this is nested too deep',
  TAB_AS_INDENT: 'tabs can not indent: use spaces',
  TAG_RESOLVE_FAILED: 'tags (!name) are not supported',
  UNEXPECTED_TOKEN: 'this is not expected here',
};

function formProblems(
  contents: Node,
  siteOf: (offset: number) => { line: number; column: number },
): Placed[] {
  const problems: Placed[] = [];
  const found = (node: unknown, message: string) =>
    problems.push({ ...siteOf((isNode(node) && node.range?.[0]) || 0), message });
  visit(contents, {
    Alias(_key, node) {
      found(node, 'aliases (*name) are not supported: write it out');
    },
    Scalar(_key, node) {
      if (typeof node.value === 'string' && !node.value.isWellFormed())
        found(node, 'half a character (an unpaired surrogate) can not be stored');
    },
    Map(_key, map) {
      const first = new Map<string, number>();
      for (const { key } of map.items) {
        const name = nameOf(key);
        const { line } = siteOf((isNode(key) && key.range?.[0]) || 0);
        const before = first.get(name);
        if (before !== undefined) found(key, `${quote(name)} is there twice, first in line ${before}`);
        else first.set(name, line);
      }
    },
  });
  return problems;
}

/** Finds where in the text a path is. Each map is searched once, or thousands of problems would take as many searches of thousands. */
function finder(contents: Node | null): (path: readonly string[], atKey: boolean) => number {
  const indexes = new Map<object, Map<string, Pair>>();
  const pairIn = (map: YAMLMap, name: string): Pair | undefined => {
    const index = indexes.get(map) ?? new Map(map.items.map((pair) => [nameOf(pair.key), pair]));
    indexes.set(map, index);
    return index.get(name);
  };
  return (path, atKey) => {
    let node: unknown = contents;
    let offset = contents?.range?.[0] ?? 0;
    for (const [depth, name] of path.entries()) {
      const pair = isMap(node) ? pairIn(node, name) : undefined;
      if (!pair) return offset;
      const isLast = depth === path.length - 1;
      const wanted = isLast && atKey ? pair.key : (pair.value ?? pair.key);
      offset = (isNode(wanted) && wanted.range?.[0]) || offset;
      node = pair.value;
    }
    return offset;
  };
}

function nameOf(key: unknown): string {
  return isScalar(key) ? String(key.value) : isAlias(key) ? '*' : String(key);
}

/** A name from a file, for a message: nothing in it can move the cursor. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name);
}
