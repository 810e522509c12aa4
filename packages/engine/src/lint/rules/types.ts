// Column types that are regretted later.
import type { ColumnDef } from 'libpg-query';
import type { Statement } from '../../migrations/statements.ts';
import type { LintFile, Rule } from '../rule.ts';
import { as, nameOf, parts, statementsOf } from '../tree.ts';

const preferTextField: Rule = {
  name: 'prefer-text-field',
  severity: 'advice',
  finds: '`varchar(n)` and `char(n)`',
  why: 'a longer limit later is a change of type; char(n) also pads with spaces',
  instead: 'text, with CHECK (length(column) <= n) where a limit is meant',
  *check(file) {
    for (const { statement, table, column, type, limited } of columns(file))
      if ((type === 'varchar' && limited) || type === 'bpchar')
        yield problem(file, statement, table, column, type === 'varchar' ? 'varchar(n)' : 'char(n)');
  },
};

const preferTimestampTz: Rule = {
  name: 'prefer-timestamp-tz',
  severity: 'advice',
  finds: '`timestamp` without time zone',
  why: 'it is no point in time: what it means depends on who reads it where',
  instead: 'timestamptz',
  *check(file) {
    for (const { statement, table, column, type } of columns(file))
      if (type === 'timestamp') yield problem(file, statement, table, column, 'timestamp without time zone');
  },
};

const preferIdentity: Rule = {
  name: 'prefer-identity',
  severity: 'advice',
  finds: '`serial` and its like',
  why: 'its sequence has rights and an owner of its own, which are forgotten',
  instead: 'bigint GENERATED ALWAYS AS IDENTITY',
  *check(file) {
    for (const { statement, table, column, type } of columns(file))
      if (/^(small|big)?serial[248]?$/.test(type)) yield problem(file, statement, table, column, type);
  },
};

const preferBigInt: Rule = {
  name: 'prefer-bigint-over-int',
  severity: 'advice',
  finds: 'a primary key of `integer`, `smallint` or `serial`',
  why: 'it ends at 2,147,483,647, and changing the type then writes the table anew',
  instead: 'bigint',
  *check(file) {
    for (const { statement, table, column, type, key } of columns(file))
      if (key && /^(int[24]|(small)?serial[24]?)$/.test(type))
        yield problem(file, statement, table, column, `a primary key of ${type}`);
  },
};

const preferJsonb: Rule = {
  name: 'prefer-jsonb',
  severity: 'advice',
  finds: '`json`',
  why: 'it has no equality, so that DISTINCT, GROUP BY and UNION over it fail',
  instead: 'jsonb',
  *check(file) {
    for (const { statement, table, column, type } of columns(file))
      if (type === 'json') yield problem(file, statement, table, column, 'json');
  },
};

function problem(file: LintFile, statement: Statement, table: string, column: ColumnDef, what: string) {
  return { at: file.placeAt(column.location, statement), message: `${table}.${column.colname} is ${what}` };
}

/** Each column that is made, with its type's name as PostgreSQL's catalog has it. */
function* columns(file: LintFile): Generator<{
  statement: Statement;
  table: string;
  column: ColumnDef;
  type: string;
  limited: boolean;
  /** It alone is the primary key. */
  key: boolean;
}> {
  const describe = (column: ColumnDef) => ({
    type: parts(column.typeName?.names).at(-1) ?? '',
    limited: Boolean(column.typeName?.typmods),
  });
  const isKey = (column: ColumnDef) =>
    (column.constraints ?? []).some((item) => as(item, 'Constraint')?.contype === 'CONSTR_PRIMARY');
  for (const { statement, node } of statementsOf(file, 'CreateStmt')) {
    const keys = (node.tableElts ?? []).flatMap((item) => {
      const constraint = as(item, 'Constraint');
      const names = constraint?.contype === 'CONSTR_PRIMARY' ? parts(constraint.keys) : [];
      return names.length === 1 ? names : [];
    });
    for (const item of node.tableElts ?? []) {
      const column = as(item, 'ColumnDef');
      if (column)
        yield {
          statement,
          table: nameOf(node.relation),
          column,
          ...describe(column),
          key: isKey(column) || keys.includes(column.colname ?? ''),
        };
    }
  }
  for (const { statement, node } of statementsOf(file, 'AlterTableStmt'))
    for (const item of node.cmds ?? []) {
      const command = as(item, 'AlterTableCmd');
      const column = command?.subtype === 'AT_AddColumn' ? as(command.def, 'ColumnDef') : undefined;
      if (column)
        yield { statement, table: nameOf(node.relation), column, ...describe(column), key: isKey(column) };
    }
}

export const typeRules = [preferTextField, preferTimestampTz, preferIdentity, preferBigInt, preferJsonb];
