import { basename } from 'node:path';
import { toMigration } from '../migrations/files.ts';
import { HeaderError, parseHeader } from '../migrations/header.ts';
import { parseStatements, SqlSyntaxError, type Statement } from '../migrations/statements.ts';
import { toUnits } from '../migrations/units.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { LintFile, Problem, Rule, Severity, Site } from './rule.ts';
import { RULES } from './rules/index.ts';
import { findSuppressions, type Suppression } from './suppressions.ts';
import { ageCalls } from './tree.ts';

export interface Finding extends Site {
  rule: string;
  severity: Severity;
  file: string;
  message: string;
  why: string;
  instead: string;
}

export interface LintReport {
  files: number;
  findings: Finding[];
  /** How many findings a comment allows. */
  allowed: number;
}

export interface SourceFile {
  name: string;
  sql: string;
}

/** Findings that are about the file rather than a statement. */
export const FILE_RULES: Record<string, Omit<Rule, 'name' | 'check'>> = {
  'syntax-error': {
    severity: 'error',
    finds:
      "a file that PostgreSQL's parser refuses; psql's own commands (`\\connect`, `\\i`, `:variable`) and `COPY … FROM stdin`",
    why: 'it fails when it is applied',
    instead: 'correct it',
  },
  'header-invalid': {
    severity: 'error',
    finds: 'a header line that means nothing: an unknown value, a key given twice or misspelt',
    why: 'migrate refuses the file',
    instead: 'correct it',
  },
  'not-resumable': {
    severity: 'error',
    finds:
      'in a file with `transaction: none` or `own`, what migrate could not go on after: an index without a name, blocks without `COMMIT`, a change of role',
    why: 'migrate refuses the file',
    instead: 'correct it',
  },
  'verify-only-reads': {
    severity: 'error',
    finds: 'anything but `SELECT`, `WITH` or `VALUES` in a `.verify.sql` file',
    why: 'a check that writes is part of the migration',
    instead: 'put it into the migration',
  },
  'invalid-suppression': {
    severity: 'error',
    finds: 'a `-- lint:` comment without a reason, of a rule that does not exist, or that allows nothing',
    why: 'nobody can know later whether it still holds',
    instead: 'write "-- lint: allow RULE because REASON" before or inside the statement, or remove it',
  },
};

/** Lints files together: what one of them says about graphs is known in the others. Pure but for loading the parser. */
export async function lint(sources: SourceFile[]): Promise<LintReport> {
  const parsed = await Promise.all(sources.map(parse));
  const graphs = new Set(parsed.flatMap(({ statements }) => statements.flatMap(graphsMadeBy)));
  const results = await Promise.all(parsed.map((file) => lintOne(file, graphs)));
  return {
    files: sources.length,
    findings: results.flatMap(({ findings }) => findings),
    allowed: results.reduce((sum, { allowed }) => sum + allowed, 0),
  };
}

/** 0, or 8 where something is to be corrected: errors, and with `strict` also warnings. */
export function exitCodeOf({ findings }: LintReport, strict: boolean): number {
  const fails = findings.some(({ severity }) => severity === 'error' || (strict && severity === 'warning'));
  return fails ? EXIT.schema : EXIT.ok;
}

interface Parsed extends SourceFile {
  statements: Statement[];
  failure: { rule: string; problem: Problem; instead?: string } | undefined;
}

async function parse({ name, sql }: SourceFile): Promise<Parsed> {
  try {
    return { name, sql, statements: await parseStatements(sql), failure: undefined };
  } catch (error) {
    if (!(error instanceof SqlSyntaxError)) throw error;
    const problem = { at: { line: error.line, column: error.column }, message: error.message };
    const failure = { rule: 'syntax-error', problem, ...(error.hint ? { instead: error.hint } : {}) };
    return { name, sql, statements: [], failure };
  }
}

async function lintOne(
  { name, sql, statements, failure }: Parsed,
  graphs: ReadonlySet<string>,
): Promise<{ findings: Finding[]; allowed: number }> {
  const byRule = (rule: string, problem: Problem, instead?: string): Finding => {
    const { severity, why, instead: usual } = FILE_RULES[rule] as Rule;
    return {
      rule,
      severity,
      file: name,
      ...problem.at,
      message: problem.message,
      why,
      instead: instead ?? usual,
    };
  };
  if (failure) return { findings: [byRule(failure.rule, failure.problem, failure.instead)], allowed: 0 };
  if (name.endsWith('.verify.sql'))
    return {
      findings: statements
        .filter(({ node }) => !('SelectStmt' in node) || node.SelectStmt.intoClause)
        .map((at) => byRule('verify-only-reads', { at, message: 'this writes, or does something else' })),
      allowed: 0,
    };

  let file: LintFile;
  try {
    const { kind, kindIsDeclared, transaction } = parseHeader(sql);
    const bytes = Buffer.from(sql);
    file = {
      name,
      kind: kindIsDeclared ? kind : undefined,
      transaction,
      statements,
      graphs,
      placeAt: (byte, otherwise) => (byte === undefined ? otherwise : placeOfByte(bytes, byte)),
    };
  } catch (error) {
    if (!(error instanceof HeaderError)) throw error;
    const problem = { at: { line: error.line, column: 1 }, message: error.message };
    return { findings: [byRule('header-invalid', problem)], allowed: 0 };
  }

  const refusal = findRefusal(file, sql);
  const found = RULES.flatMap((rule) =>
    [...rule.check(file)].map((problem) => toFinding(rule, file, problem)),
  );
  const suppressions = await findSuppressions(sql, statements);
  const allows = (finding: Finding) => suppressions.filter((suppression) => covers(suppression, finding));
  const kept = found.filter((finding) => allows(finding).length === 0);
  const used = new Set(found.flatMap(allows));
  const invalid = suppressions.flatMap((suppression) => {
    const message = invalidity(suppression, used.has(suppression));
    return message ? [byRule('invalid-suppression', { at: suppression.at, message })] : [];
  });
  const findings = [
    ...refusal.map(({ problem, instead }) => byRule('not-resumable', problem, instead)),
    ...kept,
    ...invalid,
  ].sort((a, b) => a.line - b.line || a.column - b.column);
  return { findings, allowed: found.length - kept.length };
}

/** What the runner itself refuses of a file outside a transaction. */
function findRefusal(
  { name, transaction, statements }: LintFile,
  sql: string,
): { problem: Problem; instead: string | undefined }[] {
  if (transaction === 'whole') return [];
  try {
    toUnits(toMigration(basename(name, '.sql'), sql, null, name), statements);
    return [];
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    const [, line = '1', column = '1', message = error.message] =
      /:(\d+):(\d+): (.*)$/s.exec(error.message) ?? [];
    return [
      { problem: { at: { line: Number(line), column: Number(column) }, message }, instead: error.hint },
    ];
  }
}

function toFinding({ name, severity, why, instead }: Rule, file: LintFile, problem: Problem): Finding {
  return {
    rule: name,
    severity: problem.severity ?? severity,
    file: file.name,
    line: problem.at.line,
    column: problem.at.column,
    message: problem.message,
    why,
    instead,
  };
}

function covers({ rule, reason, from, to }: Suppression, finding: Finding): boolean {
  return reason !== undefined && rule === finding.rule && from <= finding.line && finding.line <= to;
}

function invalidity({ rule, reason }: Suppression, used: boolean): string | undefined {
  if (rule === '') return 'this is no "allow RULE because REASON"';
  if (!RULES.some(({ name }) => name === rule)) return `there is no rule ${rule}`;
  if (reason === undefined) return `why ${rule} is allowed here is not said`;
  return used ? undefined : `there is no ${rule} here to allow`;
}

function graphsMadeBy({ node }: Statement): string[] {
  return ageCalls(node).flatMap(({ name, graph }) => (name === 'create_graph' && graph ? [graph] : []));
}

function placeOfByte(bytes: Buffer, byte: number): Site {
  const lines = bytes.subarray(0, byte).toString().split('\n');
  return { line: lines.length, column: [...(lines.at(-1) ?? '')].length + 1 };
}
