import type { Node } from 'libpg-query';
import { EXIT, OperatorError } from '../model/errors.ts';

/** A statement as PostgreSQL's own parser delimits it. */
export interface Statement {
  /** From its first token to before its semicolon; a comment after its last token belongs to it, one before its first does not. */
  text: string;
  /** Index of the first token in the file's text, a JavaScript string. */
  offset: number;
  /** Of the first token, 1-based. */
  line: number;
  /** Of the first token, 1-based, in characters. */
  column: number;
  /** The parse tree, such as `{CreateStmt: {…}}`: https://github.com/pganalyze/libpg_query/blob/18-latest/protobuf/pg_query.proto */
  node: Node;
}

/** SQL that PostgreSQL's parser refuses, or that only psql could run. */
export class SqlSyntaxError extends OperatorError {
  /** Where in the text, 1-based. */
  readonly line: number;
  readonly column: number;

  constructor(message: string, at: { line: number; column: number }, hint?: string) {
    super('SQL_SYNTAX', message, { exitCode: EXIT.schema, ...(hint ? { hint } : {}) });
    this.line = at.line;
    this.column = at.column;
  }
}

/**
 * The statements of a file, in order, read by PostgreSQL 18's own parser (libpg-query, compiled to WebAssembly), so that no quote,
 * comment or function body can be misread. The parser is loaded at the first call: about 20 ms. Parsing takes about 0.2 ms per
 * kilobyte, so call it where the answer matters.
 * @throws SqlSyntaxError with the place
 */
export async function parseStatements(sql: string): Promise<Statement[]> {
  refuseWhatIsNoText(sql);
  const { SqlError, loadModule, parseSync } = await import('libpg-query');
  await loadModule();
  if (sql === '') return [];
  let raw: ReturnType<typeof parseSync>;
  try {
    raw = parseSync(sql);
  } catch (error) {
    if (!(error instanceof SqlError)) throw error;
    const index = indexOfCodePoint(sql, error.sqlDetails?.cursorPosition ?? 0);
    throw explain(sql, index, error.message, (text) => lastStatement(parseSync, text));
  }
  const locate = locator(sql);
  const statements = (raw.stmts ?? []).map(({ stmt, stmt_location = 0, stmt_len }): Statement => {
    if (!stmt) throw new Error('libpg-query returned a statement without a tree');
    const start = locate(stmt_location);
    const end = stmt_len ? locate(stmt_location + stmt_len).offset : sql.length;
    return { ...start, text: sql.slice(start.offset, end).trimEnd(), node: stmt };
  });
  const copy = statements.find(({ node }) => isCopyFromStdin(node));
  if (copy) throw copyFromStdin(copy);
  return statements;
}

/** Line and column, 1-based, of an index in a text. */
export function placeOf(sql: string, index: number): { line: number; column: number } {
  const before = sql.slice(0, index);
  return { line: before.split('\n').length, column: index - before.lastIndexOf('\n') };
}

/** Offsets are given in bytes of UTF-8 and only ever grow, so one walk over the text finds them all. */
function locator(sql: string): (byte: number) => Pick<Statement, 'offset' | 'line' | 'column'> {
  let [index, bytes, line, lineStart] = [0, 0, 1, 0];
  return (byte) => {
    while (bytes < byte) {
      const code = sql.codePointAt(index) ?? 0;
      bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
      index += code < 0x10000 ? 1 : 2;
      if (code === 0x0a) [line, lineStart] = [line + 1, index];
    }
    return { offset: index, line, column: index - lineStart + 1 };
  };
}

/** Errors are placed in code points, of which those above U+FFFF are two characters of a JavaScript string. */
function indexOfCodePoint(sql: string, position: number): number {
  let index = 0;
  for (let n = 0; n < position && index < sql.length; n += 1)
    index += (sql.codePointAt(index) ?? 0) < 0x10000 ? 1 : 2;
  return index;
}

/** The parser takes a C string: what follows a NUL would be dropped without a word. */
function refuseWhatIsNoText(sql: string): void {
  const nul = sql.indexOf('\0');
  if (nul >= 0)
    throw new SqlSyntaxError('there is a NUL byte in the file', placeOf(sql, nul), 'save it as UTF-8 text');
  if (sql.startsWith('\uFEFF'))
    throw new SqlSyntaxError(
      'the file begins with a byte order mark',
      { line: 1, column: 1 },
      'save it as UTF-8 without one',
    );
}

/** What a person can do about a syntax error, where psql's own language is the reason. */
function explain(
  sql: string,
  index: number,
  message: string,
  lastBefore: (sql: string) => Node | undefined,
): SqlSyntaxError {
  const at = placeOf(sql, index);
  const rest = sql.slice(index);
  const before = lastBefore(sql.slice(0, index));
  if (before && isCopyFromStdin(before)) return copyFromStdin(at);
  const meta = /^\\\S*/.exec(rest)?.[0];
  if (meta)
    return new SqlSyntaxError(
      `${meta} is a psql meta-command, not SQL`,
      at,
      'write what it does as SQL; a file that \\i would include becomes a migration of its own',
    );
  const variable = /^:(?:[A-Za-z_]\w*|'[^'\n]*'|"[^"\n]*"|\{\?\w+\})/.exec(rest)?.[0];
  if (variable)
    return new SqlSyntaxError(
      `${variable} is a psql variable, not SQL`,
      at,
      'write its value; a migration is the same everywhere',
    );
  return new SqlSyntaxError(message, at);
}

function lastStatement(
  parseSync: (sql: string) => { stmts?: { stmt?: Node }[] },
  sql: string,
): Node | undefined {
  try {
    return parseSync(sql).stmts?.at(-1)?.stmt;
  } catch {
    // The part before the error is no whole statement either: then there is nothing to add to the parser's own message.
    return undefined;
  }
}

function isCopyFromStdin(node: Node): boolean {
  if (!('CopyStmt' in node)) return false;
  const { is_from, is_program, filename } = node.CopyStmt;
  return Boolean(is_from) && !is_program && filename === undefined;
}

function copyFromStdin({ line, column }: { line: number; column: number }): SqlSyntaxError {
  return new SqlSyntaxError(
    'COPY … FROM stdin reads rows that follow it in the file, which only psql does',
    { line, column },
    'write the rows as INSERT (pg_dump --inserts does so)',
  );
}
