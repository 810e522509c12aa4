// Who begins and ends the transaction, and what is left behind in the session.
import type { Node } from 'libpg-query';
import { isTransactionControl } from '../../migrations/preflight.ts';
import { mustBeAlone } from '../../migrations/units.ts';
import type { LintFile, Rule } from '../rule.ts';
import { alterations, as, functionOf, option, parts, statementsOf, stringOf, within } from '../tree.ts';

const transactionNesting: Rule = {
  name: 'transaction-nesting',
  severity: 'error',
  finds: '`BEGIN`, `COMMIT`, `ROLLBACK` or `PREPARE TRANSACTION` in a file without `transaction: own`',
  why: 'it ends the transaction in which the runner records the file, so that a failure after it would leave half of the file applied; migrate refuses it',
  instead: 'remove BEGIN and COMMIT: the runner puts them around the file',
  *check(file) {
    if (file.transaction !== 'whole') return;
    for (const statement of file.statements)
      if (isTransactionControl(statement.node))
        yield {
          at: statement,
          message: `${firstWords(statement.text, 1)} in a file whose transaction is the runner's`,
        };
  },
};

const banInTransaction: Rule = {
  name: 'ban-in-transaction',
  severity: 'error',
  finds:
    'what PostgreSQL refuses inside a transaction, without `transaction: none`: `CONCURRENTLY`, `VACUUM`, `ALTER SYSTEM`, `CREATE DATABASE`, …',
  why: 'PostgreSQL refuses it, and the file never applies',
  instead: 'give it a file of its own with "-- transaction: none"',
  *check(file) {
    if (file.transaction !== 'whole') return;
    for (const statement of file.statements) {
      const what = outsideTransaction(statement.node);
      if (what) yield { at: statement, message: `${what} cannot run inside a transaction` };
    }
  },
};

const needlessTransactionNone: Rule = {
  name: 'needless-transaction-none',
  severity: 'warning',
  finds: '`transaction: none` or `own` where no statement demands it',
  why: 'a failure leaves the first half of the file applied, which one transaction would have undone',
  instead: 'remove the line from the header',
  *check(file) {
    const needed = file.statements.some(
      (statement) =>
        mustBeAlone(statement) || (file.transaction === 'own' && isTransactionControl(statement.node)),
    );
    if (file.transaction !== 'whole' && !needed)
      yield {
        at: { line: 1, column: 1 },
        message: `nothing in it demands "transaction: ${file.transaction}"`,
      };
  },
};

const mixedTransactionNone: Rule = {
  name: 'mixed-transaction-none',
  severity: 'warning',
  finds: 'a statement in a `transaction: none` file that could run in a transaction',
  why: 'it stays applied when a later statement of the file fails',
  instead: 'leave only what demands it in this file, and put the rest into the one before or after',
  *check(file) {
    if (file.transaction !== 'none' || !file.statements.some(mustBeAlone)) return;
    for (const statement of file.statements)
      if (!mustBeAlone(statement) && !as(statement.node, 'VariableSetStmt'))
        yield { at: statement, message: `${firstWords(statement.text)} needs no "transaction: none"` };
  },
};

const enumValueInTransaction: Rule = {
  name: 'enum-value-in-transaction',
  severity: 'error',
  finds: 'a new enum value that is used in the file that adds it',
  why: 'PostgreSQL refuses to use a value before the transaction that adds it has committed',
  instead: 'use it in the next migration',
  *check(file) {
    if (file.transaction !== 'whole') return;
    for (const { statement, node } of statementsOf(file, 'AlterEnumStmt')) {
      if (node.oldVal || !node.newVal) continue;
      const created = file.statements.some(
        (other) =>
          other.offset < statement.offset &&
          parts(as(other.node, 'CreateEnumStmt')?.typeName).join('.') === parts(node.typeName).join('.'),
      );
      const user = file.statements.find(
        (other) =>
          other.offset > statement.offset &&
          [...within(other.node, 'A_Const')].some(
            (value) => 'sval' in value && value.sval?.sval === node.newVal,
          ),
      );
      if (user && !created)
        yield { at: user, message: `uses the value ${node.newVal}, which this file adds` };
    }
  },
};

const setWithoutLocal: Rule = {
  name: 'set-without-local',
  severity: 'warning',
  finds: '`SET` without `LOCAL`, `set_config(…, false)`; `SET LOCAL` where there is no transaction',
  why: 'the setting stays for the files after it, so that they mean something else alone than together; SET LOCAL outside of a transaction does nothing',
  instead: 'SET LOCAL, which ends with the file',
  *check(file) {
    const isolated = file.transaction === 'whole';
    for (const { statement, node } of statementsOf(file, 'VariableSetStmt')) {
      if (node.kind !== 'VAR_SET_VALUE' && node.kind !== 'VAR_SET_DEFAULT') continue;
      if (!node.is_local && isolated) yield { at: statement, message: `SET ${node.name} outlives the file` };
      if (node.is_local && file.transaction === 'none')
        yield { at: statement, message: `SET LOCAL ${node.name} does nothing without a transaction` };
    }
    if (!isolated) return;
    for (const { statement, node } of statementsOf(file, 'SelectStmt'))
      for (const call of within(node.targetList, 'FuncCall'))
        if (functionOf(call).name === 'set_config' && isFalse(call.args?.[2]))
          yield {
            at: statement,
            message: `set_config('${stringOf(call.args?.[0])}', …, false) outlives the file`,
          };
  },
};

const serverWideChange: Rule = {
  name: 'server-wide-change',
  severity: 'warning',
  finds: '`ALTER SYSTEM`, and making or dropping a database, role or tablespace',
  why: 'it concerns every database of the server: a second database with the same migrations fails, and so does the scratch copy of migrate verify',
  instead: 'do it where the server is set up',
  *check(file) {
    const kinds = [
      'AlterSystemStmt',
      'CreatedbStmt',
      'DropdbStmt',
      'CreateRoleStmt',
      'DropRoleStmt',
      'CreateTableSpaceStmt',
      'DropTableSpaceStmt',
    ] as const;
    for (const kind of kinds)
      for (const { statement } of statementsOf(file, kind))
        yield { at: statement, message: `${firstWords(statement.text, 3)} concerns the whole server` };
  },
};

/** How PostgreSQL names the statement in "… cannot run inside a transaction block"; undefined if it can. */
export function outsideTransaction(node: Node): string | undefined {
  if (as(node, 'IndexStmt')?.concurrent) return 'CREATE INDEX CONCURRENTLY';
  if (as(node, 'DropStmt')?.concurrent) return 'DROP INDEX CONCURRENTLY';
  const reindex = as(node, 'ReindexStmt');
  if (reindex && option(reindex.params, 'concurrently')) return 'REINDEX CONCURRENTLY';
  if (reindex && !['REINDEX_OBJECT_INDEX', 'REINDEX_OBJECT_TABLE'].includes(reindex.kind ?? ''))
    return 'REINDEX of a schema or database';
  if (as(node, 'VacuumStmt')?.is_vacuumcmd) return 'VACUUM';
  const cluster = as(node, 'ClusterStmt');
  if (cluster && !cluster.relation) return 'CLUSTER of all tables';
  if (as(node, 'AlterSystemStmt')) return 'ALTER SYSTEM';
  if (as(node, 'CreatedbStmt')) return 'CREATE DATABASE';
  if (as(node, 'DropdbStmt')) return 'DROP DATABASE';
  if (as(node, 'CreateTableSpaceStmt')) return 'CREATE TABLESPACE';
  if (as(node, 'DropTableSpaceStmt')) return 'DROP TABLESPACE';
  if (as(node, 'CreateSubscriptionStmt')) return 'CREATE SUBSCRIPTION';
  if (as(node, 'DropSubscriptionStmt')) return 'DROP SUBSCRIPTION';
  const detaches = (as(node, 'AlterTableStmt')?.cmds ?? []).some(
    (command) => as(as(command, 'AlterTableCmd')?.def, 'PartitionCmd')?.concurrent,
  );
  return detaches ? 'DETACH PARTITION CONCURRENTLY' : undefined;
}

const detachPartition: Rule = {
  name: 'require-concurrent-partition-detach',
  severity: 'warning',
  finds: '`DETACH PARTITION` without `CONCURRENTLY`',
  why: 'nobody can use the partitioned table while it waits for running queries',
  instead: 'DETACH PARTITION … CONCURRENTLY in a file of its own with "-- transaction: none"',
  *check(file) {
    for (const { statement, command, table } of alterations(file, 'AT_DetachPartition'))
      if (!as(command.def, 'PartitionCmd')?.concurrent)
        yield { at: statement, message: `detaching a partition blocks ${table}` };
  },
};

function isFalse(node: Node | undefined): boolean {
  const constant = as(as(node, 'TypeCast')?.arg ?? node, 'A_Const');
  return Boolean(constant && 'boolval' in constant && !constant.boolval?.boolval);
}

function firstWords(text: string, count = 2): string {
  return text.split(/\s+/, count).join(' ').toUpperCase();
}

/** Whether the file sets its own search_path before a statement, and to what. */
export function searchPathBefore(file: LintFile, offset: number): string[] | undefined {
  let path: string[] | undefined;
  for (const { statement, node } of statementsOf(file, 'VariableSetStmt'))
    if (node.name === 'search_path' && statement.offset < offset)
      path = (node.args ?? []).flatMap((argument) => stringOf(argument) ?? []);
  return path;
}

export const transactionRules = [
  transactionNesting,
  banInTransaction,
  needlessTransactionNone,
  mixedTransactionNone,
  enumValueInTransaction,
  setWithoutLocal,
  serverWideChange,
  detachPartition,
];
