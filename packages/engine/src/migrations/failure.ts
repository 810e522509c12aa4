import type { DatabaseError } from 'pg';
import { ScriptError } from '../database/session.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import type { Migration } from './files.ts';
import { parseStatements, SqlSyntaxError, type Statement, siteOf } from './statements.ts';

/** Where in a message that was sent a piece of the file stood. */
export interface Sent {
  /** What was sent before it, in the same message. */
  prefix: string;
  prefixStatements: number;
  /** The piece of the file. */
  text: string;
  /** Its index in the file's text. */
  offset: number;
}

interface Site {
  index: number;
  /** Null where the failing statement is known, but not the word in it. */
  statement: Statement | null;
  isExact: boolean;
}

/** PostgreSQL's own error under whatever wraps it. */
export function databaseError(error: unknown): Partial<DatabaseError> {
  return ((error instanceof ScriptError ? error.cause : error) ?? {}) as Partial<DatabaseError>;
}

/** Whether the server said so itself: it lives, and has undone what it could not do. SQLSTATEs have five characters. */
export function isAnswer(error: unknown): boolean {
  return /^[0-9A-Z]{5}$/.test(databaseError(error).code ?? '');
}

/**
 * What to say of an error between two migrations, if it is that the connection was lost or PostgreSQL ended (class 57P:
 * https://www.postgresql.org/docs/17/errcodes-appendix.html); the message is node-postgres's where the server could say nothing.
 */
export function connectionLost(error: unknown): OperatorError | null {
  const { code = '', message = '' } = databaseError(error);
  const isLost =
    /^57P0[1-5]$/.test(code) ||
    /^E[A-Z]+$/.test(code) ||
    /Connection terminated|not queryable|Connection ended/.test(message);
  if (error instanceof OperatorError || !isLost) return null;
  return new OperatorError('DATABASE_LOST', `the connection to the database was lost: ${message}`, {
    exitCode: EXIT.unhealthy,
    hint: 'run the command again: it goes on where this one stopped',
    cause: error,
  });
}

/**
 * A failed migration as a person can mend it: file, line and column in the message; the line with a mark, the statement and what else
 * PostgreSQL said in the details.
 */
export async function migrationFailed(
  migration: Migration,
  error: unknown,
  sent: Sent,
  outcome: string,
): Promise<OperatorError> {
  const { file, sql } = migration;
  const cause = databaseError(error);
  const statements = await statementsOf(sql);
  const found = locate(sql, sent, error, Array.isArray(statements) ? statements : []);
  const { line, column } = found ? siteOf(sql, found.index) : { line: 0, column: 0 };
  const where = found ? `${file}:${line}:${column}` : file;
  // Where our parser stumbles at the same place, it may know better why: psql's language is the usual reason.
  const better = cause.code === '42601' && statements instanceof SqlSyntaxError && statements.hint;
  const message = better ? (statements as SqlSyntaxError).message : messageOf(error);
  return new OperatorError('MIGRATION_FAILED', `${where}: ${message}`, {
    exitCode: EXIT.schema,
    details: [
      ...(found ? showLine(sql, found, line, column) : []),
      ...(found?.statement ? [`statement: ${excerpt(found.statement.text)}`] : []),
      ...factsOf(cause),
    ],
    hint: [better || hintFor(cause), outcome].filter(Boolean).join('; '),
    cause: error,
  });
}

async function statementsOf(sql: string): Promise<Statement[] | SqlSyntaxError> {
  try {
    return await parseStatements(sql);
  } catch (error) {
    if (error instanceof SqlSyntaxError) return error;
    throw error;
  }
}

function locate(sql: string, sent: Sent, error: unknown, statements: Statement[]): Site | null {
  const position = Number(databaseError(error).position);
  // Positions are 1-based and count characters, of which those above U+FFFF are two in a JavaScript string.
  const inText = position > 0 ? position - 1 - [...sent.prefix].length : -1;
  const end = sent.offset + sent.text.length;
  if (inText >= 0) {
    const index = sent.offset + codeUnits(sent.text, inText);
    if (index > end) return null;
    const statement = statements.findLast(({ offset }) => offset <= index) ?? null;
    return { index: Math.min(index, Math.max(sql.trimEnd().length - 1, 0)), statement, isExact: true };
  }
  if (!(error instanceof ScriptError)) return null;
  const inSent = statements.filter(({ offset }) => offset >= sent.offset && offset < end);
  const statement = inSent[error.completed - sent.prefixStatements];
  return statement ? { index: statement.offset, statement, isExact: false } : null;
}

function codeUnits(text: string, codePoints: number): number {
  let index = 0;
  for (let n = 0; n < codePoints && index < text.length; n += 1)
    index += (text.codePointAt(index) ?? 0) > 0xffff ? 2 : 1;
  return index;
}

const SHOWN_COLUMNS = 100;

function showLine(sql: string, { index, isExact }: Site, line: number, column: number): string[] {
  const start = sql.lastIndexOf('\n', index - 1) + 1;
  const end = sql.indexOf('\n', index);
  const characters = [...sql.slice(start, end < 0 ? sql.length : end).replaceAll('\t', ' ')];
  const from = Math.max(0, column - 1 - SHOWN_COLUMNS / 2);
  const label = `${line} | `;
  const shown = `${label}${from > 0 ? '…' : ''}${characters.slice(from, from + SHOWN_COLUMNS).join('')}`;
  const mark = ' '.repeat(label.length + column - 1 - from + (from > 0 ? 1 : 0));
  return isExact ? [shown, `${mark}^`] : [shown];
}

/** At most 300 characters of one line. */
export function excerpt(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 299)}…` : line;
}

function factsOf({ code, detail, hint, where, constraint, table, schema }: Partial<DatabaseError>): string[] {
  const facts: [string, string | undefined][] = [
    ['SQLSTATE', code],
    ['detail', detail],
    ['hint', hint],
    ['context', where],
    ['table', table && [schema, table].filter(Boolean).join('.')],
    ['constraint', constraint],
  ];
  return facts.filter(([, value]) => value).map(([name, value]) => `${name}: ${value}`);
}

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
function hintFor({ code, message }: Partial<DatabaseError>): string | undefined {
  switch (code) {
    case '3F000': // invalid_schema_name
      return message?.includes('"ag_catalog"')
        ? 'this server preloads AGE, and AGE lets nothing be dropped in a database without it: CREATE EXTENSION age here first'
        : undefined;
    case '25001': // active_sql_transaction: … cannot run inside a transaction block
      return 'say "-- transaction: none" at the top of the file';
    case '2D000': // invalid_transaction_termination: a procedure's own COMMIT
      return 'say "-- transaction: none" at the top of the file: then a procedure may commit';
    case '57014': // query_canceled: statement_timeout, or a person
      return 'say "-- timeout: 10min" at the top of the file, if it may take that long';
    case '42501': // insufficient_privilege
      return 'migrate as a role that may do this';
    default:
      return undefined;
  }
}
