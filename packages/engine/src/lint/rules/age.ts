// Apache AGE: what its catalog, its indexes and its upgrades ask of a migration. Measured on AGE 1.7 with PostgreSQL 18.
import type { LintFile, Rule } from '../rule.ts';
import { ageCalls, as, functionOf, nameOf, parts, statementsOf, stringOf, within } from '../tree.ts';
import { searchPathBefore } from './transactions.ts';

const ageViewOverCypher: Rule = {
  name: 'age-view-over-cypher',
  severity: 'warning',
  finds: 'a view, materialized view, policy or default over `cypher()`',
  why: "the graph's oid is baked into it when it is made: after a restore from a dump it fails, or reads another graph",
  instead: 'a function in plpgsql around cypher(), which looks the graph up by name at each call',
  *check(file) {
    for (const statement of file.statements) {
      const { node } = statement;
      // A table that is filled from a graph keeps rows, not the query.
      const isHolder =
        as(node, 'CreateTableAsStmt')?.objtype === 'OBJECT_MATVIEW' ||
        ['ViewStmt', 'RuleStmt', 'CreatePolicyStmt', 'CreateStmt', 'AlterTableStmt'].some(
          (kind) => kind in node,
        );
      if (!isHolder) continue;
      for (const call of within(node, 'FuncCall'))
        if (functionOf(call).name === 'cypher')
          yield {
            at: file.placeAt(call.location, statement),
            message: `keeps the oid of the graph ${stringOf(call.args?.[0])}`,
          };
    }
  },
};

const ageSearchPath: Rule = {
  name: 'age-search-path',
  severity: 'error',
  finds:
    '`create_graph` or a label made where `ag_catalog` is not on the search_path: after a `SET search_path` without it, or in the file that makes the extension',
  why: 'from AGE 1.7 on it fails: operator class "graphid_ops" does not exist',
  instead: 'SET LOCAL search_path = ag_catalog, public before it',
  *check(file) {
    const extension = [...statementsOf(file, 'CreateExtensionStmt')].find(
      ({ node }) => node.extname === 'age',
    );
    for (const statement of file.statements)
      for (const { name, location } of ageCalls(statement.node)) {
        if (!name.startsWith('create_')) continue;
        const path = searchPathBefore(file, statement.offset);
        const missing = path
          ? !path.includes('ag_catalog')
          : extension && extension.statement.offset < statement.offset;
        if (missing)
          yield {
            at: file.placeAt(location, statement),
            message: `${name}() without ag_catalog on the search_path`,
          };
      }
  },
};

const ageDropGraph: Rule = {
  name: 'age-drop-graph',
  severity: 'error',
  finds:
    '`DROP SCHEMA` of a graph, or `DROP TABLE` of a label; `drop_graph` and `drop_label` outside of a `contract` file',
  why: 'AGE keeps a row about each graph and label: without drop_graph it stays behind, and the name can neither be used nor removed',
  instead: "SELECT drop_graph('name', true), or drop_label('graph', 'Label'), in a contract migration",
  *check(file) {
    for (const { statement, node } of statementsOf(file, 'DropStmt'))
      for (const object of node.objects ?? []) {
        const name = parts(as(object, 'List')?.items ?? [object]);
        if (node.removeType === 'OBJECT_SCHEMA' && file.graphs.has(name[0] ?? ''))
          yield {
            at: statement,
            message: `${name[0]} is a graph: DROP SCHEMA leaves its row in ag_graph behind`,
          };
        if (node.removeType === 'OBJECT_TABLE' && name.length === 2 && file.graphs.has(name[0] ?? ''))
          yield {
            at: statement,
            message: `${name.join('.')} is a label: DROP TABLE leaves its row in ag_label behind`,
          };
      }
    if (file.kind === 'contract') return;
    for (const statement of file.statements)
      for (const { name, graph, label } of ageCalls(statement.node))
        if (name.startsWith('drop_'))
          yield {
            at: statement,
            message: `drops ${[graph, label].filter(Boolean).join('.')} and all that is in it`,
          };
  },
};

const ageCatalogDml: Rule = {
  name: 'age-catalog-dml',
  severity: 'error',
  finds: 'writing to tables of `ag_catalog`',
  why: 'graph ids, label ids and their sequences refer to each other there; a row that does not fit makes the graph unreadable',
  instead:
    'create_graph, create_vlabel, create_elabel, alter_graph, drop_label and drop_graph keep them right',
  *check(file) {
    for (const statement of file.statements) {
      const { node } = statement;
      const { relation } =
        as(node, 'InsertStmt') ??
        as(node, 'UpdateStmt') ??
        as(node, 'DeleteStmt') ??
        as(node, 'MergeStmt') ??
        {};
      if (relation?.schemaname === 'ag_catalog')
        yield { at: statement, message: `writes to ${nameOf(relation)}` };
    }
    for (const { statement, node } of statementsOf(file, 'TruncateStmt'))
      for (const item of node.relations ?? [])
        if (as(item, 'RangeVar')?.schemaname === 'ag_catalog')
          yield { at: statement, message: `empties ${nameOf(as(item, 'RangeVar'))}` };
  },
};

const agePropertyIndex: Rule = {
  name: 'age-property-index',
  severity: 'warning',
  finds: 'an index on `properties -> …` or `properties ->> …` of a label',
  why: 'Cypher never asks that way, so no query of it uses the index',
  instead:
    'for WHERE n.name = …: (agtype_access_operator(properties, \'"name"\'::agtype)); for (n {name: …}) and MERGE: USING gin (properties)',
  *check(file) {
    for (const { statement, node } of statementsOf(file, 'IndexStmt'))
      for (const item of node.indexParams ?? []) {
        const arrow = [...within(as(item, 'IndexElem')?.expr, 'A_Expr')].find(
          ({ name, lexpr }) =>
            /^->>?$/.test(parts(name)[0] ?? '') &&
            parts(as(lexpr, 'ColumnRef')?.fields).at(-1) === 'properties' &&
            isLabel(file, node.relation?.schemaname),
        );
        if (arrow)
          yield {
            at: file.placeAt(arrow.location, statement),
            message: `no Cypher query uses ${node.idxname ?? 'this index'}`,
          };
      }
  },
};

const ageMergeScan: Rule = {
  name: 'age-merge-scan',
  severity: 'advice',
  finds: '`MERGE`, or `MATCH` with a map such as `(n {name: $x})`',
  why: 'an index on agtype_access_operator(…) does not serve it: each one reads the whole label, so that filling a graph takes quadratic time',
  instead: 'MATCH (n:Label) WHERE n.name = …, which that index serves; or an index USING gin (properties)',
  *check(file) {
    for (const statement of file.statements) {
      if (!statement.text.includes('cypher')) continue;
      for (const call of within(statement.node, 'FuncCall')) {
        const query = functionOf(call).name === 'cypher' ? stringOf(call.args?.[1]) : undefined;
        const [found] =
          /\bMERGE\b|\bMATCH\b(?=(?:(?!\b(?:CREATE|MERGE|SET|RETURN|WITH|DELETE|WHERE)\b)[^{])*\{)/i.exec(
            query ?? '',
          ) ?? [];
        if (found)
          yield {
            at: file.placeAt(call.location, statement),
            message: `${found.toUpperCase()} by properties reads the whole label without a gin index`,
          };
      }
    }
  },
};

function isLabel(file: LintFile, schema: string | undefined): boolean {
  return schema !== undefined && file.graphs.has(schema);
}

export const ageRules = [
  ageViewOverCypher,
  ageSearchPath,
  ageDropGraph,
  ageCatalogDml,
  agePropertyIndex,
  ageMergeScan,
];
