import type { Statement } from '../migrations/statements.ts';
import type { Site } from './rule.ts';

/** A comment `-- lint: allow RULE because REASON`. */
export interface Suppression {
  rule: string;
  reason: string | undefined;
  at: Site;
  /** First and last line of what it is about: the statement it stands in or before; with the first statement also the file itself. */
  from: number;
  to: number;
}

const COMMENT = /^--\s*lint:\s*(.*)$/;
const ALLOW = /^allow\s+([a-z0-9-]+)(?:\s+because\s+(\S.*))?\s*$/;

/**
 * The suppressions of a file. Comments are found by PostgreSQL's own scanner, so that a string which looks like one is none. One that
 * begins with `lint:` and is no `allow RULE …` has the rule ''.
 */
export async function findSuppressions(sql: string, statements: Statement[]): Promise<Suppression[]> {
  if (!/--\s*lint:/.test(sql)) return [];
  const { scan } = await import('libpg-query');
  const { tokens } = await scan(sql);
  const bytes = Buffer.from(sql);
  return tokens.flatMap(({ tokenName, text, start }) => {
    const [, said] = tokenName === 'SQL_COMMENT' ? (COMMENT.exec(text.trim()) ?? []) : [];
    if (said === undefined) return [];
    const before = bytes.subarray(0, start).toString();
    const line = before.split('\n').length;
    const at = { line, column: before.length - before.lastIndexOf('\n') };
    const [, rule = '', reason] = ALLOW.exec(said) ?? [];
    const about = statements.find((statement) => lastLine(statement) >= line);
    // A comment after the last statement is about nothing.
    const to = about ? lastLine(about) : line;
    const from = about && about === statements[0] ? 1 : Math.min(line, about?.line ?? line);
    return [{ rule, reason, at, from, to }];
  });
}

function lastLine({ line, text }: Statement): number {
  return line + text.split('\n').length - 1;
}
