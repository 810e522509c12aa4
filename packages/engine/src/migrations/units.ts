import { EXIT, OperatorError } from '../model/errors.ts';
import type { Migration } from './files.ts';
import type { Statement } from './statements.ts';

/**
 * What of a migration outside a transaction is done at a time.
 * `transaction`: runs in a transaction together with the record that it is done. `solo`: can't, so it is recorded before and after.
 */
export interface Unit {
  kind: 'transaction' | 'solo';
  /** The text as in the file, without BEGIN and COMMIT around it. */
  text: string;
  /** Index of the text in the file's. */
  offset: number;
  line: number;
  column: number;
  /** Of `solo`: its statement. Of `transaction`: its statements. */
  statements: Statement[];
  /** Options of the file's own BEGIN, such as `ISOLATION LEVEL SERIALIZABLE`. */
  begin: string;
  /** It only sets the session up, so that it is done again when the migration is resumed on a new connection. */
  isSessionSetup: boolean;
}

/**
 * The units of a migration with `transaction: none` or `own`.
 * @throws OperatorError MIGRATION_TRANSACTION, MIGRATION_UNIT for what could not be resumed safely
 */
export function toUnits(migration: Migration, statements: Statement[]): Unit[] {
  const units: Unit[] = [];
  let block: Statement[] | null = null;
  for (const statement of statements) {
    const kind = transactionKind(statement);
    if (kind === null) {
      if (block) block.push(statement);
      else units.push(toUnit(migration, [statement], ''));
      continue;
    }
    if (migration.transaction === 'none')
      throw refuse(migration, statement, 'has BEGIN or COMMIT of its own', 'say "-- transaction: own"');
    if (kind === 'begin' && !block) block = [statement];
    else if (kind === 'commit' && block) {
      const [begin, ...inside] = block as [Statement, ...Statement[]];
      if (inside.length > 0) units.push(toUnit(migration, inside, optionsOf(begin)));
      block = null;
    } else {
      const what = block ? 'this does not end the block that BEGIN began' : 'there is no BEGIN before this';
      throw refuse(
        migration,
        statement,
        what,
        'write blocks of BEGIN … COMMIT, without ROLLBACK or AND CHAIN',
      );
    }
  }
  if (block)
    throw refuse(migration, block[0] as Statement, 'this is not followed by COMMIT', 'end the block');
  return units;
}

function transactionKind({ node }: Statement): 'begin' | 'commit' | 'other' | null {
  if (!('TransactionStmt' in node)) return null;
  const { kind, chain } = node.TransactionStmt;
  switch (kind) {
    case 'TRANS_STMT_BEGIN':
    case 'TRANS_STMT_START':
      return 'begin';
    case 'TRANS_STMT_COMMIT':
      return chain ? 'other' : 'commit';
    case 'TRANS_STMT_SAVEPOINT':
    case 'TRANS_STMT_RELEASE':
    case 'TRANS_STMT_ROLLBACK_TO':
      return null;
    default:
      return 'other';
  }
}

/** What follows BEGIN, BEGIN TRANSACTION, BEGIN WORK or START TRANSACTION. */
function optionsOf(begin: Statement): string {
  return begin.text.replace(/^\s*(?:begin(?:\s+(?:work|transaction))?|start\s+transaction)\b/i, '').trim();
}

function toUnit(migration: Migration, statements: Statement[], begin: string): Unit {
  const first = statements[0] as Statement;
  const last = statements.at(-1) as Statement;
  const text = migration.sql.slice(first.offset, last.offset + last.text.length);
  for (const statement of statements) assertKeepsRole(migration, statement);
  const isSolo = statements.length === 1 && begin === '' && mustBeAlone(first);
  if (isSolo) assertResumable(migration, first);
  return {
    kind: isSolo ? 'solo' : 'transaction',
    text,
    offset: first.offset,
    line: first.line,
    column: first.column,
    statements,
    begin,
    isSessionSetup: statements.length === 1 && setsUpSession(first),
  };
}

/** Statements that PostgreSQL refuses inside a transaction block, and those that may end the transaction they are in. */
export function mustBeAlone({ node, text }: Statement): boolean {
  if ('IndexStmt' in node) return node.IndexStmt.concurrent === true;
  if ('DropStmt' in node) return node.DropStmt.concurrent === true;
  if ('VacuumStmt' in node) return node.VacuumStmt.is_vacuumcmd === true;
  if ('DoStmt' in node) return /\b(?:commit|rollback)\b/i.test(text);
  if ('AlterTableStmt' in node) return /\bdetach\s+partition\b[\s\S]*\bconcurrently\b/i.test(text);
  if ('ReindexStmt' in node || 'ClusterStmt' in node) return true;
  return (
    'CallStmt' in node ||
    'CreatedbStmt' in node ||
    'DropdbStmt' in node ||
    'AlterDatabaseStmt' in node ||
    'CreateTableSpaceStmt' in node ||
    'DropTableSpaceStmt' in node ||
    'AlterSystemStmt' in node ||
    'CreateSubscriptionStmt' in node ||
    'AlterSubscriptionStmt' in node ||
    'DropSubscriptionStmt' in node ||
    ('DiscardStmt' in node && node.DiscardStmt.target === 'DISCARD_ALL')
  );
}

function setsUpSession({ node, text }: Statement): boolean {
  if ('VariableSetStmt' in node) return node.VariableSetStmt.is_local !== true;
  if ('SelectStmt' in node) return /^\s*select\s+(?:pg_catalog\.)?set_config\s*\(/i.test(text);
  return 'LoadStmt' in node;
}

/** The record of what is done is written by the role that connected. */
function assertKeepsRole(migration: Migration, statement: Statement): void {
  const { node } = statement;
  if (!('VariableSetStmt' in node) || node.VariableSetStmt.is_local) return;
  if (['role', 'session_authorization'].includes(node.VariableSetStmt.name ?? ''))
    throw refuse(
      migration,
      statement,
      'this changes the role for what follows, and the runner keeps its record in between',
      'say "-- transaction: own" and use SET LOCAL ROLE inside BEGIN … COMMIT',
    );
}

function assertResumable(migration: Migration, statement: Statement): void {
  const { node } = statement;
  if ('IndexStmt' in node && !node.IndexStmt.idxname)
    throw refuse(
      migration,
      statement,
      'the index has no name, so that one left half built could not be found',
      'name it: CREATE INDEX CONCURRENTLY name ON …',
    );
}

function refuse(migration: Migration, at: Statement, what: string, hint: string): OperatorError {
  const code = 'TransactionStmt' in at.node ? 'MIGRATION_TRANSACTION' : 'MIGRATION_UNIT';
  return new OperatorError(code, `${migration.file}:${at.line}:${at.column}: ${what}`, {
    exitCode: EXIT.schema,
    hint,
  });
}
