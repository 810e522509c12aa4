// Statements that keep others waiting while they read or write a whole table.
import type { Rule } from '../rule.ts';
import {
  alterations,
  as,
  existedBefore,
  functionOf,
  nameOf,
  option,
  parts,
  statementsOf,
  within,
} from '../tree.ts';

const requireConcurrentIndexCreation: Rule = {
  name: 'require-concurrent-index-creation',
  severity: 'warning',
  finds: '`CREATE INDEX` without `CONCURRENTLY` on a table of an earlier file',
  why: 'the table takes no writes until the whole index is built',
  instead: 'CREATE INDEX CONCURRENTLY in a file of its own with "-- transaction: none"',
  *check(file) {
    for (const { statement, node } of statementsOf(file, 'IndexStmt'))
      if (!node.concurrent && existedBefore(file, statement, node.relation))
        yield {
          at: statement,
          message: `the index ${node.idxname ?? ''} on ${nameOf(node.relation)} blocks writes`,
        };
  },
};

const requireConcurrentIndexDeletion: Rule = {
  name: 'require-concurrent-index-deletion',
  severity: 'warning',
  finds: '`DROP INDEX` without `CONCURRENTLY`',
  why: 'it waits for every query on the table, and every new query waits behind it',
  instead: 'DROP INDEX CONCURRENTLY in a file of its own with "-- transaction: none"',
  *check(file) {
    const own = new Set([...statementsOf(file, 'IndexStmt')].map(({ node }) => node.idxname));
    for (const { statement, node } of statementsOf(file, 'DropStmt')) {
      if (node.removeType !== 'OBJECT_INDEX' || node.concurrent) continue;
      for (const object of node.objects ?? []) {
        const name = parts(as(object, 'List')?.items);
        if (!own.has(name.at(-1)))
          yield { at: statement, message: `dropping ${name.join('.')} blocks its table` };
      }
    }
  },
};

const requireConcurrentReindex: Rule = {
  name: 'require-concurrent-reindex',
  severity: 'warning',
  finds: '`REINDEX` without `CONCURRENTLY`',
  why: 'the table takes no writes, and most queries on it wait, until the index is built',
  instead: 'REINDEX … CONCURRENTLY in a file of its own with "-- transaction: none"',
  *check(file) {
    for (const { statement, node } of statementsOf(file, 'ReindexStmt'))
      if (!option(node.params, 'concurrently'))
        yield {
          at: statement,
          message: `reindexing ${nameOf(node.relation) || (node.name ?? '')} blocks its tables`,
        };
  },
};

const requireConcurrentRefresh: Rule = {
  name: 'require-concurrent-refresh',
  severity: 'warning',
  finds: '`REFRESH MATERIALIZED VIEW` without `CONCURRENTLY`',
  why: 'nobody can read the view until it is filled',
  instead: 'REFRESH MATERIALIZED VIEW CONCURRENTLY; it wants a unique index on the view',
  *check(file) {
    for (const { statement, node } of statementsOf(file, 'RefreshMatViewStmt'))
      if (!node.concurrent && existedBefore(file, statement, node.relation))
        yield { at: statement, message: `refreshing ${nameOf(node.relation)} blocks its readers` };
  },
};

const changingColumnType: Rule = {
  name: 'changing-column-type',
  severity: 'warning',
  finds: '`ALTER COLUMN … TYPE` on an existing table; an error in an `expand` file',
  why: 'PostgreSQL writes the table and its indexes anew, and nobody can read or write it meanwhile; the previous application version reads another type',
  instead:
    'add a column of the new type, write both, copy in batches, and drop the old one in a contract migration',
  *check(file) {
    for (const { statement, command, table } of alterations(file, 'AT_AlterColumnType'))
      yield {
        at: file.placeAt(as(command.def, 'ColumnDef')?.location, statement),
        message: `${table}.${command.name} changes its type`,
        ...(file.kind === 'expand' ? { severity: 'error' as const } : {}),
      };
  },
};

// Functions that give every row the same value, so that PostgreSQL keeps it once instead of writing each row.
const NOT_VOLATILE = new Set(
  'now transaction_timestamp statement_timestamp current_setting to_date to_timestamp make_date make_time make_timestamp make_timestamptz make_interval date_trunc date_part age lower upper coalesce jsonb_build_object jsonb_build_array json_build_object json_build_array to_jsonb to_json array_to_json md5 length concat concat_ws format repeat version agtype_build_map agtype_build_list'.split(
    ' ',
  ),
);

const addingFieldWithDefault: Rule = {
  name: 'adding-field-with-default',
  severity: 'warning',
  finds:
    '`ADD COLUMN` with a default that differs by row, such as `gen_random_uuid()`, with `serial` or with `IDENTITY`',
  why: 'PostgreSQL writes every row anew, and nobody can read or write the table meanwhile; a constant or now() costs nothing',
  instead:
    'add the column without a default, then ALTER COLUMN … SET DEFAULT, then fill the old rows in batches',
  *check(file) {
    for (const { statement, command, table } of alterations(file, 'AT_AddColumn')) {
      const column = as(command.def, 'ColumnDef');
      const constraints = (column?.constraints ?? []).map((item) => as(item, 'Constraint'));
      const volatile = constraints
        .filter((constraint) => constraint?.contype === 'CONSTR_DEFAULT')
        .flatMap((constraint) => [...within(constraint?.raw_expr, 'FuncCall')])
        .map((call) => functionOf(call).name)
        .find((name) => !NOT_VOLATILE.has(name));
      const identity = constraints.some((constraint) => constraint?.contype === 'CONSTR_IDENTITY');
      const serial = /^(small|big)?serial[248]?$/.exec(parts(column?.typeName?.names).at(-1) ?? '')?.[0];
      const reason = volatile ? `the default ${volatile}()` : identity ? 'IDENTITY' : serial;
      if (reason)
        yield {
          at: file.placeAt(column?.location, statement),
          message: `${table}.${column?.colname}: ${reason} makes a value for each row`,
        };
    }
  },
};

const addingStoredGeneratedColumn: Rule = {
  name: 'adding-stored-generated-column',
  severity: 'warning',
  finds: '`ADD COLUMN … GENERATED ALWAYS AS (…) STORED` on an existing table',
  why: 'PostgreSQL writes every row anew, and nobody can read or write the table meanwhile',
  instead: 'add a plain column that a trigger or the application fills; or VIRTUAL, from PostgreSQL 18 on',
  *check(file) {
    for (const { statement, command, table } of alterations(file, 'AT_AddColumn')) {
      const column = as(command.def, 'ColumnDef');
      const stored = (column?.constraints ?? []).some((item) => {
        const constraint = as(item, 'Constraint');
        return constraint?.contype === 'CONSTR_GENERATED' && constraint.generated_kind === 's';
      });
      if (stored)
        yield {
          at: file.placeAt(column?.location, statement),
          message: `${table}.${column?.colname} is computed and stored for each row`,
        };
    }
  },
};

const REWRITES = {
  AT_SetLogged: 'SET LOGGED',
  AT_SetUnLogged: 'SET UNLOGGED',
  AT_SetAccessMethod: 'SET ACCESS METHOD',
  AT_SetTableSpace: 'SET TABLESPACE',
} as const;

const rewritingTable: Rule = {
  name: 'rewriting-table',
  severity: 'warning',
  finds: '`VACUUM FULL`, `CLUSTER`, `SET LOGGED`, `SET UNLOGGED`, `SET ACCESS METHOD`, `SET TABLESPACE`',
  why: 'PostgreSQL writes the whole table anew, and nobody can read or write it meanwhile',
  instead: 'do it outside of migrations at a time nobody works, or with pg_repack',
  *check(file) {
    for (const [subtype, words] of Object.entries(REWRITES))
      for (const { statement, table } of alterations(file, subtype as keyof typeof REWRITES))
        yield { at: statement, message: `${words} writes ${table} anew` };
    for (const { statement, node } of statementsOf(file, 'VacuumStmt'))
      if (option(node.options, 'full')) yield { at: statement, message: 'VACUUM FULL writes tables anew' };
    for (const { statement, node } of statementsOf(file, 'ClusterStmt'))
      if (!node.relation || existedBefore(file, statement, node.relation))
        yield { at: statement, message: `CLUSTER writes ${nameOf(node.relation) || 'tables'} anew` };
  },
};

const updateWithoutWhere: Rule = {
  name: 'update-without-where',
  severity: 'warning',
  finds: '`UPDATE` of all rows of an existing table',
  why: 'every row stays locked until the file ends, and the table doubles in size',
  instead: 'fill rows in batches from the application or a job; add WHERE if only some rows are meant',
  *check(file) {
    for (const { statement, node } of statementsOf(file, 'UpdateStmt'))
      if (!node.whereClause && existedBefore(file, statement, node.relation))
        yield { at: statement, message: `every row of ${nameOf(node.relation)} is updated` };
  },
};

export const lockRules = [
  requireConcurrentIndexCreation,
  requireConcurrentIndexDeletion,
  requireConcurrentReindex,
  requireConcurrentRefresh,
  changingColumnType,
  addingFieldWithDefault,
  addingStoredGeneratedColumn,
  rewritingTable,
  updateWithoutWhere,
];
