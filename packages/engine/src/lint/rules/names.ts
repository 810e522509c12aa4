// Names that mean different things on different connections, and statements that do nothing without saying so.
import type { RangeVar } from 'libpg-query';
import type { Statement } from '../../migrations/statements.ts';
import type { LintFile, Rule } from '../rule.ts';
import { as, nameOf, option, parts, statementsOf } from '../tree.ts';
import { searchPathBefore } from './transactions.ts';

const unqualifiedName: Rule = {
  name: 'unqualified-name',
  severity: 'warning',
  finds: 'a table, view, function, type or sequence that is made, changed or dropped without its schema',
  why: 'where it lands depends on the search_path of the connection, which differs by role, by tool and by database',
  instead: 'write schema.name, or SET LOCAL search_path at the top of the file',
  *check(file) {
    const temporary = new Set(
      [...statementsOf(file, 'CreateStmt')]
        .filter(({ node }) => node.relation?.relpersistence === 't')
        .map(({ node }) => node.relation?.relname),
    );
    for (const { statement, name } of namedObjects(file))
      if (
        !name.includes('.') &&
        !temporary.has(name) &&
        searchPathBefore(file, statement.offset) === undefined
      )
        yield { at: statement, message: `${name} has no schema` };
  },
};

/** Each object that is made, changed, dropped or written, by the name it has in the file. */
function* namedObjects(file: LintFile): Generator<{ statement: Statement; name: string }> {
  for (const statement of file.statements) {
    const { node } = statement;
    const relations: (RangeVar | undefined)[] = [
      as(node, 'CreateStmt')?.relation,
      as(node, 'CreateTableAsStmt')?.into?.rel,
      as(node, 'ViewStmt')?.view,
      as(node, 'AlterTableStmt')?.relation,
      as(node, 'IndexStmt')?.relation,
      as(node, 'CreateSeqStmt')?.sequence,
      as(node, 'CompositeTypeStmt')?.typevar,
      as(node, 'CreateTrigStmt')?.relation,
      as(node, 'InsertStmt')?.relation,
      as(node, 'UpdateStmt')?.relation,
      as(node, 'DeleteStmt')?.relation,
      as(node, 'RenameStmt')?.relation,
      ...(as(node, 'TruncateStmt')?.relations ?? []).map((item) => as(item, 'RangeVar')),
    ];
    const lists = [
      as(node, 'CreateFunctionStmt')?.funcname,
      as(node, 'CreateEnumStmt')?.typeName,
      as(node, 'CreateDomainStmt')?.domainname,
      as(node, 'AlterEnumStmt')?.typeName,
      ...dropped(statement),
    ];
    for (const relation of relations)
      if (relation && relation.relpersistence !== 't') yield { statement, name: nameOf(relation) };
    for (const list of lists) if (list) yield { statement, name: parts(list).join('.') };
  }
}

// These belong to a table, or to no schema at all.
const WITHOUT_SCHEMA = [
  'TRIGGER',
  'POLICY',
  'RULE',
  'SCHEMA',
  'EXTENSION',
  'CAST',
  'TRANSFORM',
  'EVENT_TRIGGER',
  'LANGUAGE',
  'PUBLICATION',
  'FOREIGN_SERVER',
  'FDW',
  'ACCESS_METHOD',
];

function dropped({ node }: Statement) {
  const drop = as(node, 'DropStmt');
  if (!drop || WITHOUT_SCHEMA.includes((drop.removeType ?? '').replace('OBJECT_', ''))) return [];
  return (drop.objects ?? []).map(
    (object) =>
      as(object, 'List')?.items ?? as(object, 'ObjectWithArgs')?.objname ?? as(object, 'TypeName')?.names,
  );
}

const securityDefinerSearchPath: Rule = {
  name: 'security-definer-search-path',
  severity: 'error',
  finds: 'a `SECURITY DEFINER` function without a `SET search_path` of its own',
  why: "whoever calls it chooses which tables and functions its names mean, and they run with the owner's rights",
  instead:
    "add SET search_path = '' (or pg_catalog, then the schemas it needs, pg_temp last) to the function",
  *check(file) {
    for (const { statement, node } of statementsOf(file, 'CreateFunctionStmt')) {
      const security = as(option(node.options, 'security')?.arg, 'Boolean');
      const sets = (node.options ?? []).some((item) => {
        const element = as(item, 'DefElem');
        return element?.defname === 'set' && as(element.arg, 'VariableSetStmt')?.name === 'search_path';
      });
      if (security?.boolval && !sets)
        yield { at: statement, message: `${parts(node.funcname).join('.')} uses its caller's search_path` };
    }
  },
};

const banIfNotExists: Rule = {
  name: 'ban-if-not-exists',
  severity: 'warning',
  finds: '`CREATE … IF NOT EXISTS` and `ADD COLUMN IF NOT EXISTS`; `CREATE EXTENSION IF NOT EXISTS` is fine',
  why: 'if something of that name is there already, it is kept whatever it looks like, even an index left invalid, and the file counts as applied',
  instead:
    'leave IF NOT EXISTS out: the ledger knows what has been applied, and migrate baseline adopts what was there before',
  *check(file) {
    for (const statement of file.statements) {
      const { node } = statement;
      const found = [
        as(node, 'CreateStmt'),
        as(node, 'IndexStmt'),
        as(node, 'CreateSchemaStmt'),
        as(node, 'CreateSeqStmt'),
        as(node, 'CreateTableAsStmt'),
      ].some((create) => create?.if_not_exists);
      if (found) yield { at: statement, message: 'IF NOT EXISTS hides what is there instead' };
      for (const item of as(node, 'AlterTableStmt')?.cmds ?? []) {
        const command = as(item, 'AlterTableCmd');
        if (command?.subtype === 'AT_AddColumn' && command.missing_ok)
          yield {
            at: file.placeAt(as(command.def, 'ColumnDef')?.location, statement),
            message: `ADD COLUMN IF NOT EXISTS ${as(command.def, 'ColumnDef')?.colname} hides what is there instead`,
          };
      }
    }
  },
};

const missingKind: Rule = {
  name: 'missing-kind',
  severity: 'error',
  finds: 'a file whose header has no `kind`',
  why: 'nobody can know whether the previous application version still runs on the schema after it',
  instead: 'begin the file with "-- kind: expand" (only adds) or "-- kind: contract" (takes away)',
  *check(file) {
    if (!file.kind) yield { at: { line: 1, column: 1 }, message: 'the header has no kind' };
  },
};

export const nameRules = [missingKind, unqualifiedName, banIfNotExists, securityDefinerSearchPath];
