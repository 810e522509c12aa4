// Reading parse trees: https://github.com/pganalyze/libpg_query/blob/18-latest/protobuf/pg_query.proto
import type { AlterTableCmd, Constraint, DefElem, FuncCall, Node, RangeVar } from 'libpg-query';
import type { Statement } from '../migrations/statements.ts';
import type { LintFile } from './rule.ts';

type NodeKind = Node extends infer N ? (N extends Node ? keyof N : never) : never;
export type NodeOf<K extends NodeKind> = Extract<Node, Record<K, unknown>>[K];

/** The statements of one kind, such as `IndexStmt`. */
export function* statementsOf<K extends NodeKind>(
  file: Pick<LintFile, 'statements'>,
  kind: K,
): Generator<{ statement: Statement; node: NodeOf<K> }> {
  for (const statement of file.statements) {
    const node = as(statement.node, kind);
    if (node) yield { statement, node };
  }
}

/** The node if it is of that kind. */
export function as<K extends NodeKind>(node: Node | undefined, kind: K): NodeOf<K> | undefined {
  return (node as Record<string, unknown> | undefined)?.[kind] as NodeOf<K> | undefined;
}

/** Every node of one kind beneath a tree, the tree included. */
export function* within<K extends NodeKind>(tree: unknown, kind: K): Generator<NodeOf<K>> {
  if (typeof tree !== 'object' || tree === null) return;
  for (const [key, child] of Object.entries(tree)) {
    if (key === kind) yield child as NodeOf<K>;
    yield* within(child, kind);
  }
}

/** The strings of a list of String nodes: the parts of a name. */
export function parts(list: Node[] | undefined): string[] {
  return (list ?? []).flatMap((node) => as(node, 'String')?.sval ?? []);
}

/** `schema.table`, or `table`. */
export function nameOf(relation: RangeVar | undefined): string {
  return [relation?.schemaname, relation?.relname].filter(Boolean).join('.');
}

/** A string constant's value. */
export function stringOf(node: Node | undefined): string | undefined {
  const constant = as(node, 'A_Const');
  return constant && 'sval' in constant ? (constant.sval?.sval ?? '') : undefined;
}

/** The last part of a function's name, and its schema. */
export function functionOf(call: FuncCall): { schema: string | undefined; name: string } {
  const names = parts(call.funcname);
  return { schema: names.at(-2), name: names.at(-1) ?? '' };
}

/** An option of a list such as `(CONCURRENTLY, VERBOSE)`. */
export function option(list: Node[] | undefined, name: string): DefElem | undefined {
  return (list ?? []).map((node) => as(node, 'DefElem')).find((element) => element?.defname === name);
}

/** Each ALTER TABLE command of one kind that concerns a table which was there before this file. */
export function* alterations(
  file: LintFile,
  subtype: AlterTableCmd['subtype'],
): Generator<{ statement: Statement; command: AlterTableCmd; table: string }> {
  for (const { statement, node } of statementsOf(file, 'AlterTableStmt')) {
    if (node.objtype !== 'OBJECT_TABLE' || !existedBefore(file, statement, node.relation)) continue;
    for (const item of node.cmds ?? []) {
      const command = as(item, 'AlterTableCmd');
      if (command && command.subtype === subtype) yield { statement, command, table: nameOf(node.relation) };
    }
  }
}

/** Each constraint that ALTER TABLE adds to an existing table: as one of its own, or with a new column. */
export function* addedConstraints(file: LintFile): Generator<{
  statement: Statement;
  table: string;
  constraint: Constraint;
  /** The new column that it comes with. */
  column: string | undefined;
}> {
  for (const { statement, command, table } of alterations(file, 'AT_AddConstraint')) {
    const constraint = as(command.def, 'Constraint');
    if (constraint) yield { statement, table, constraint, column: undefined };
  }
  for (const { statement, command, table } of alterations(file, 'AT_AddColumn')) {
    const column = as(command.def, 'ColumnDef');
    for (const item of column?.constraints ?? []) {
      const constraint = as(item, 'Constraint');
      if (constraint) yield { statement, table, constraint, column: column?.colname ?? '' };
    }
  }
}

/** Whether the table was there before the file: nobody waits for a table that the file itself makes, and it has no rows yet. */
export function existedBefore(file: LintFile, statement: Statement, relation: RangeVar | undefined): boolean {
  if (!relation || relation.relpersistence === 't') return false;
  const name = nameOf(relation);
  for (const earlier of file.statements) {
    if (earlier === statement) return true;
    if (createdBy(earlier).includes(name)) return false;
  }
  return true;
}

/** Tables, views and labels that a statement makes. */
export function createdBy({ node }: Statement): string[] {
  const relation =
    as(node, 'CreateStmt')?.relation ??
    as(node, 'CreateTableAsStmt')?.into?.rel ??
    as(node, 'SelectStmt')?.intoClause?.rel ??
    as(node, 'ViewStmt')?.view;
  if (relation) return [nameOf(relation)];
  const schema = as(node, 'CreateSchemaStmt');
  if (schema) {
    const tables = (schema.schemaElts ?? []).map((element) => as(element, 'CreateStmt')?.relation?.relname);
    return tables.flatMap((table) => (table ? `${schema.schemaname}.${table}` : []));
  }
  return ageCalls(node).flatMap(({ name, graph, label }) => {
    if (name === 'create_graph') return [`${graph}._ag_label_vertex`, `${graph}._ag_label_edge`];
    return name === 'create_vlabel' || name === 'create_elabel' ? [`${graph}.${label}`] : [];
  });
}

/** Calls of AGE's functions on graphs and labels in the select list: `SELECT create_vlabel('graph', 'Label')`. */
export function ageCalls(
  node: Node,
): { name: string; graph: string | undefined; label: string | undefined; location: number | undefined }[] {
  return (as(node, 'SelectStmt')?.targetList ?? []).flatMap((target) => {
    const call = as(as(target, 'ResTarget')?.val, 'FuncCall');
    if (!call) return [];
    const { schema, name } = functionOf(call);
    if (!/^(create|drop)_(graph|[ve]?label)$/.test(name) || (schema && schema !== 'ag_catalog')) return [];
    const [graph, label] = (call.args ?? []).map(stringOf);
    return [{ name, graph, label, location: call.location }];
  });
}
