// What the previous application version, or the data, does not survive.
import type { DropStmt, Node } from 'libpg-query';
import type { Statement } from '../../migrations/statements.ts';
import type { LintFile, Rule } from '../rule.ts';
import { alterations, as, createdBy, existedBefore, nameOf, parts, statementsOf } from '../tree.ts';

const IN_CONTRACT =
  'move it to a migration of kind contract, applied when no running application needs it any more';

const banDropTable: Rule = {
  name: 'ban-drop-table',
  severity: 'error',
  finds: '`DROP TABLE` outside of a `contract` file',
  why: 'the previous application version still uses it, and its rows are gone',
  instead: IN_CONTRACT,
  *check(file) {
    if (file.kind === 'contract') return;
    for (const { statement, name } of drops(file, ['OBJECT_TABLE', 'OBJECT_FOREIGN_TABLE']))
      if (
        !file.statements.some((other) => other.offset < statement.offset && createdBy(other).includes(name))
      )
        yield { at: statement, message: `drops the table ${name}` };
  },
};

const banDropColumn: Rule = {
  name: 'ban-drop-column',
  severity: 'error',
  finds: '`DROP COLUMN` outside of a `contract` file',
  why: 'the previous application version still reads and writes it, and its values are gone',
  instead: IN_CONTRACT,
  *check(file) {
    if (file.kind === 'contract') return;
    for (const { statement, command, table } of alterations(file, 'AT_DropColumn'))
      yield { at: statement, message: `drops ${table}.${command.name}` };
  },
};

const DROPPED = {
  OBJECT_VIEW: 'view',
  OBJECT_MATVIEW: 'materialized view',
  OBJECT_FUNCTION: 'function',
  OBJECT_PROCEDURE: 'procedure',
  OBJECT_TYPE: 'type',
  OBJECT_DOMAIN: 'domain',
  OBJECT_SEQUENCE: 'sequence',
  OBJECT_SCHEMA: 'schema',
  OBJECT_EXTENSION: 'extension',
} satisfies Partial<Record<NonNullable<DropStmt['removeType']>, string>>;

const banDropObject: Rule = {
  name: 'ban-drop-object',
  severity: 'error',
  finds:
    'dropping a view, function, type, sequence, schema or extension outside of a `contract` file, unless the file makes it again',
  why: 'the previous application version may still use it',
  instead: `${IN_CONTRACT}; CREATE OR REPLACE needs no DROP`,
  *check(file) {
    if (file.kind === 'contract') return;
    const made = new Set(file.statements.flatMap(madeBy));
    for (const { statement, name, node } of drops(file, Object.keys(DROPPED) as (keyof typeof DROPPED)[]))
      if (!made.has(name))
        yield {
          at: statement,
          message: `drops the ${DROPPED[node.removeType as keyof typeof DROPPED]} ${name}`,
        };
  },
};

const renaming: Rule = {
  name: 'renaming-table',
  severity: 'error',
  finds:
    'renaming a table, view, type or schema, or moving it to another schema, outside of a `contract` file',
  why: 'the previous application version asks for the old name',
  instead: `keep a view of the old name beside it, and drop that in a contract migration`,
  *check(file) {
    if (file.kind === 'contract') return;
    const names = [
      'OBJECT_TABLE',
      'OBJECT_VIEW',
      'OBJECT_MATVIEW',
      'OBJECT_TYPE',
      'OBJECT_SCHEMA',
      'OBJECT_SEQUENCE',
    ];
    for (const { statement, node } of statementsOf(file, 'RenameStmt'))
      if (
        names.includes(node.renameType ?? '') &&
        (!node.relation || existedBefore(file, statement, node.relation))
      )
        yield {
          at: statement,
          message: `renames ${nameOf(node.relation) || node.subname || parts(as(node.object, 'List')?.items).join('.')} to ${node.newname}`,
        };
    for (const { statement, node } of statementsOf(file, 'AlterObjectSchemaStmt'))
      if (!node.relation || existedBefore(file, statement, node.relation))
        yield {
          at: statement,
          message: `moves ${nameOf(node.relation) || 'it'} to the schema ${node.newschema}`,
        };
  },
};

const renamingColumn: Rule = {
  name: 'renaming-column',
  severity: 'error',
  finds: 'renaming a column or an enum value outside of a `contract` file',
  why: 'the previous application version asks for the old name',
  instead: 'add a column of the new name, write both, and drop the old one in a contract migration',
  *check(file) {
    if (file.kind === 'contract') return;
    for (const { statement, node } of statementsOf(file, 'RenameStmt'))
      if (
        (node.renameType === 'OBJECT_COLUMN' || node.renameType === 'OBJECT_ATTRIBUTE') &&
        existedBefore(file, statement, node.relation)
      )
        yield {
          at: statement,
          message: `renames ${nameOf(node.relation)}.${node.subname} to ${node.newname}`,
        };
    for (const { statement, node } of statementsOf(file, 'AlterEnumStmt'))
      if (node.oldVal) yield { at: statement, message: `renames the value ${node.oldVal} to ${node.newVal}` };
  },
};

const droppingDefault: Rule = {
  name: 'dropping-default',
  severity: 'warning',
  finds: '`DROP DEFAULT` in an `expand` file',
  why: 'the previous application version may leave the column out of its INSERT',
  instead: IN_CONTRACT,
  *check(file) {
    if (file.kind === 'contract') return;
    for (const { statement, command, table } of alterations(file, 'AT_ColumnDefault'))
      if (!command.def) yield { at: statement, message: `${table}.${command.name} loses its default` };
  },
};

const banDropCascade: Rule = {
  name: 'ban-drop-cascade',
  severity: 'warning',
  finds: '`DROP … CASCADE`',
  why: 'it also drops what nobody named: views, foreign keys, columns, and different ones in each database',
  instead: 'drop by name what depends on it, then the thing itself without CASCADE',
  *check(file) {
    for (const { statement, node } of statementsOf(file, 'DropStmt'))
      if (node.behavior === 'DROP_CASCADE') yield { at: statement, message: 'DROP … CASCADE' };
    for (const { statement, command, table } of alterations(file, 'AT_DropColumn'))
      if (command.behavior === 'DROP_CASCADE')
        yield { at: statement, message: `DROP COLUMN ${table}.${command.name} CASCADE` };
  },
};

const deleteWithoutWhere: Rule = {
  name: 'delete-without-where',
  severity: 'error',
  finds: '`DELETE` of all rows of an existing table',
  why: 'the rows are gone in every database this runs on',
  instead: 'say which rows with WHERE',
  *check(file) {
    for (const { statement, node } of statementsOf(file, 'DeleteStmt'))
      if (!node.whereClause && existedBefore(file, statement, node.relation))
        yield { at: statement, message: `deletes every row of ${nameOf(node.relation)}` };
  },
};

const banTruncate: Rule = {
  name: 'ban-truncate',
  severity: 'error',
  finds: '`TRUNCATE` of an existing table; with `CASCADE` also of those that refer to it',
  why: 'the rows are gone in every database this runs on, and nobody can use the table until the file ends',
  instead: 'DELETE … WHERE says which rows are meant',
  *check(file) {
    for (const { statement, node } of statementsOf(file, 'TruncateStmt')) {
      const tables = (node.relations ?? []).map((item) => as(item, 'RangeVar'));
      const existing = tables.filter((table) => existedBefore(file, statement, table));
      if (existing.length > 0)
        yield {
          at: statement,
          message: `empties ${existing.map(nameOf).join(', ')}${node.behavior === 'DROP_CASCADE' ? ' and every table that refers to it' : ''}`,
        };
    }
  },
};

/** Each object that a DROP names. */
function* drops(
  file: LintFile,
  kinds: NonNullable<DropStmt['removeType']>[],
): Generator<{ statement: Statement; node: DropStmt; name: string }> {
  for (const { statement, node } of statementsOf(file, 'DropStmt'))
    if (kinds.includes(node.removeType ?? 'OBJECT_TABLE'))
      for (const object of node.objects ?? []) yield { statement, node, name: objectName(object) };
}

function objectName(object: Node): string {
  const list =
    as(object, 'List')?.items ?? as(object, 'ObjectWithArgs')?.objname ?? as(object, 'TypeName')?.names;
  return parts(list ?? [object]).join('.');
}

/** Names of everything that a statement makes. */
function madeBy(statement: Statement): string[] {
  const { node } = statement;
  const list =
    as(node, 'CreateFunctionStmt')?.funcname ??
    as(node, 'CreateEnumStmt')?.typeName ??
    as(node, 'CreateRangeStmt')?.typeName ??
    as(node, 'CreateDomainStmt')?.domainname;
  const relation = as(node, 'CreateSeqStmt')?.sequence ?? as(node, 'CompositeTypeStmt')?.typevar;
  const single = as(node, 'CreateSchemaStmt')?.schemaname ?? as(node, 'CreateExtensionStmt')?.extname;
  return [
    ...createdBy(statement),
    ...(list ? [parts(list).join('.')] : []),
    ...(relation ? [nameOf(relation)] : []),
    ...(single ? [single] : []),
  ];
}

export const compatibilityRules = [
  banDropTable,
  banDropColumn,
  banDropObject,
  renaming,
  renamingColumn,
  droppingDefault,
  banDropCascade,
  deleteWithoutWhere,
  banTruncate,
];
