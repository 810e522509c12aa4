import { EXIT, OperatorError } from '../model/errors.ts';
import type { Migration } from './files.ts';
import { parseStatements, SqlSyntaxError, type Statement } from './statements.ts';
import { toUnits, type Unit } from './units.ts';

/** A migration that may run, and what is known of its text. */
export interface Prepared {
  migration: Migration;
  /**
   * The text can't end the transaction it is put into. False where PostgreSQL's parser as we have it does not understand the text: the
   * server may be newer, so it decides, and is watched more closely.
   */
  contained: boolean;
  /** What is done one after the other, each with its own record; null for a migration that is one transaction. */
  units: Unit[] | null;
  /** The queries of `.verify.sql`. */
  verify: Statement[];
}

/**
 * Looks at texts before any of them runs.
 * @throws OperatorError for the first that can't: MIGRATION_TRANSACTION, MIGRATION_SYNTAX, MIGRATION_UNIT, MIGRATION_VERIFY; the
 * details name the others
 */
export async function prepareAll(migrations: Migration[]): Promise<Prepared[]> {
  const prepared: Prepared[] = [];
  const refusals: OperatorError[] = [];
  for (const migration of migrations) {
    try {
      prepared.push(await prepare(migration));
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      refusals.push(error);
    }
  }
  const [first, ...others] = refusals;
  if (!first) return prepared;
  throw new OperatorError(first.code, first.message, {
    exitCode: EXIT.schema,
    details: others.map(({ message }) => `also: ${message}`),
    hint: `${first.hint ? `${first.hint}; ` : ''}nothing was applied`,
  });
}

async function prepare(migration: Migration): Promise<Prepared> {
  const verify = await prepareVerify(migration);
  if (migration.transaction !== 'whole') {
    const statements = await parseStatements(migration.sql).catch((error) => {
      throw refuseSyntax(migration.file, error);
    });
    return { migration, contained: false, units: toUnits(migration, statements), verify };
  }
  return { migration, contained: await isContained(migration), units: null, verify };
}

/**
 * A keyword that could end or escape the runner's transaction, where a statement can begin: at the start, after a semicolon, after a
 * comment. A keyword can't be written in any other way, so a text without one need not be parsed. BEGIN and END, of which functions are
 * full, count where a transaction's can stand: before a semicolon, a comment or one of the few words that may follow. An END before a
 * closing dollar quote is a function's: no statement begins with a dollar sign, so PostgreSQL would refuse such a text as a whole.
 */
const CONTROL =
  /(?:^|;|\*\/|--[^\n\r]*[\n\r])\s*(?:(?:start|commit|rollback|abort|prepare|copy)\b|begin(?=\s*(?:;|$|--|\/\*|(?:work|transaction|isolation|read|deferrable|not)\b))|end(?=\s*(?:;(?!\s*\$)|$|--|\/\*|(?:work|transaction|and)\b)))/i;
/** What psql's own commands look like. */
const META_COMMAND = /^[ \t]*\\/m;

async function isContained(migration: Migration): Promise<boolean> {
  const { sql } = migration;
  if (!CONTROL.test(sql) && !(sql.includes('\\') && META_COMMAND.test(sql))) return true;
  let statements: Statement[];
  try {
    statements = await parseStatements(migration.sql);
  } catch (error) {
    // What only psql can run has a hint of its own, and is nothing a newer server would understand.
    if (error instanceof SqlSyntaxError && error.hint === undefined) return false;
    throw refuseSyntax(migration.file, error);
  }
  const own = statements.find(({ node }) => isTransactionControl(node));
  if (!own) return true;
  const word = own.text.split(/[\s;]/, 1)[0]?.toUpperCase();
  throw new OperatorError(
    'MIGRATION_TRANSACTION',
    `${migration.file}:${own.line}:${own.column}: ${word} here, but the runner owns the transaction`,
    {
      exitCode: EXIT.schema,
      hint: 'remove BEGIN, COMMIT and ROLLBACK from the file, or say "-- transaction: own" at its top if it must have its own',
    },
  );
}

const SAVEPOINTS = ['TRANS_STMT_SAVEPOINT', 'TRANS_STMT_RELEASE', 'TRANS_STMT_ROLLBACK_TO'];

/** Whether a statement begins or ends a transaction; savepoints do neither. */
export function isTransactionControl(node: Statement['node']): boolean {
  return 'TransactionStmt' in node && !SAVEPOINTS.includes(node.TransactionStmt.kind ?? '');
}

async function prepareVerify({ file, verify }: Migration): Promise<Statement[]> {
  if (verify === null) return [];
  const path = file.replace(/\.sql$/, '.verify.sql');
  const statements = await parseStatements(verify).catch((error) => {
    throw refuseSyntax(path, error);
  });
  const other = statements.find(
    ({ node }) => !('SelectStmt' in node) || node.SelectStmt.intoClause !== undefined,
  );
  if (statements.length > 0 && !other) return statements;
  throw new OperatorError(
    'MIGRATION_VERIFY',
    other
      ? `${path}:${other.line}:${other.column}: not a query: a check only reads`
      : `${path}: there is no query in it`,
    {
      exitCode: EXIT.schema,
      hint: 'write one or more SELECTs that return a row for each thing that is wrong',
    },
  );
}

function refuseSyntax(file: string, error: unknown): unknown {
  if (!(error instanceof SqlSyntaxError)) return error;
  return new OperatorError('MIGRATION_SYNTAX', `${file}:${error.line}:${error.column}: ${error.message}`, {
    exitCode: EXIT.schema,
    hint: error.hint ?? 'correct the statement',
    cause: error,
  });
}
