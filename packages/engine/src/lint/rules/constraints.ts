// Constraints that read a whole table under a lock.
import type { Rule } from '../rule.ts';
import { addedConstraints, alterations, as, nameOf, parts } from '../tree.ts';

const addingRequiredField: Rule = {
  name: 'adding-required-field',
  severity: 'error',
  finds: '`ADD COLUMN … NOT NULL` without a default on an existing table',
  why: 'it fails as soon as the table has a row, and the previous application version cannot insert any more',
  instead: 'give it a default, or add it nullable and require it later',
  *check(file) {
    for (const { statement, command, table } of alterations(file, 'AT_AddColumn')) {
      const column = as(command.def, 'ColumnDef');
      const kinds = (column?.constraints ?? []).map((item) => as(item, 'Constraint')?.contype);
      const required = kinds.includes('CONSTR_NOTNULL') || kinds.includes('CONSTR_PRIMARY');
      const filled = ['CONSTR_DEFAULT', 'CONSTR_IDENTITY', 'CONSTR_GENERATED'] as const;
      const serial = /^(small|big)?serial[248]?$/.test(parts(column?.typeName?.names).at(-1) ?? '');
      if (required && !serial && !filled.some((kind) => kinds.includes(kind)))
        yield {
          at: file.placeAt(column?.location, statement),
          message: `${table}.${column?.colname} is NOT NULL and has no default`,
        };
    }
  },
};

const addingNotNullableField: Rule = {
  name: 'adding-not-nullable-field',
  severity: 'warning',
  finds: '`SET NOT NULL` on an existing table without a validated check; an error in an `expand` file',
  why: 'PostgreSQL reads the whole table while nobody can use it; the previous application version may still write NULL',
  instead:
    'in one file ADD CONSTRAINT c CHECK (column IS NOT NULL) NOT VALID; in the next VALIDATE CONSTRAINT c, then SET NOT NULL, then DROP CONSTRAINT c',
  *check(file) {
    const validated = new Set([...alterations(file, 'AT_ValidateConstraint')].map(({ table }) => table));
    for (const { statement, command, table } of alterations(file, 'AT_SetNotNull'))
      if (file.kind !== 'contract')
        yield {
          at: statement,
          message: `${table}.${command.name} becomes NOT NULL in ${file.kind === 'expand' ? 'an expand' : 'a'} migration`,
          ...(file.kind === 'expand' ? { severity: 'error' as const } : {}),
        };
      else if (!validated.has(table))
        yield {
          at: statement,
          message: `${table}.${command.name} becomes NOT NULL and is read under a lock`,
        };
    for (const { statement, table, constraint } of addedConstraints(file))
      if (constraint.contype === 'CONSTR_NOTNULL' && !constraint.skip_validation && constraint.keys)
        yield {
          at: file.placeAt(constraint.location, statement),
          message: `${table}.${parts(constraint.keys).join(', ')} becomes NOT NULL and is read under a lock`,
        };
  },
};

const addingForeignKeyConstraint: Rule = {
  name: 'adding-foreign-key-constraint',
  severity: 'warning',
  finds: 'a foreign key without `NOT VALID` on an existing table',
  why: 'both tables take no writes while every row is checked',
  instead: 'ADD CONSTRAINT … NOT VALID, and VALIDATE CONSTRAINT in the next migration',
  *check(file) {
    for (const { statement, table, constraint, column } of addedConstraints(file))
      if (constraint.contype === 'CONSTR_FOREIGN' && !constraint.skip_validation)
        yield {
          at: file.placeAt(constraint.location, statement),
          message: `${column ? `${table}.${column}` : table} references ${nameOf(constraint.pktable)} and is checked at once`,
        };
  },
};

const constraintMissingNotValid: Rule = {
  name: 'constraint-missing-not-valid',
  severity: 'warning',
  finds: '`ADD CONSTRAINT … CHECK` without `NOT VALID` on an existing table',
  why: 'nobody can use the table while every row is checked',
  instead: 'ADD CONSTRAINT … NOT VALID, and VALIDATE CONSTRAINT in the next migration',
  *check(file) {
    // With a new column there is nothing to check but its default.
    for (const { statement, table, constraint, column } of addedConstraints(file))
      if (constraint.contype === 'CONSTR_CHECK' && !constraint.skip_validation && column === undefined)
        yield {
          at: file.placeAt(constraint.location, statement),
          message: `${table}: the check ${constraint.conname ?? ''} reads every row at once`,
        };
  },
};

const validatingInSameTransaction: Rule = {
  name: 'validating-in-same-transaction',
  severity: 'warning',
  finds: '`VALIDATE CONSTRAINT` in the file that added it `NOT VALID`',
  why: 'the lock of ADD CONSTRAINT is kept until the file ends, so that NOT VALID has gained nothing',
  instead: 'put VALIDATE CONSTRAINT into the next migration',
  *check(file) {
    if (file.transaction !== 'whole') return;
    const added = new Set(
      [...addedConstraints(file)]
        .filter(({ constraint }) => constraint.skip_validation)
        .map(({ table, constraint }) => `${table} ${constraint.conname}`),
    );
    for (const { statement, command, table } of alterations(file, 'AT_ValidateConstraint'))
      if (added.has(`${table} ${command.name}`))
        yield {
          at: statement,
          message: `${command.name} of ${table} is added and validated in one transaction`,
        };
  },
};

const disallowedUniqueConstraint: Rule = {
  name: 'disallowed-unique-constraint',
  severity: 'warning',
  finds: '`UNIQUE`, `PRIMARY KEY` or `EXCLUDE` on an existing table without `USING INDEX`',
  why: 'nobody can use the table until the whole index is built',
  instead: 'CREATE UNIQUE INDEX CONCURRENTLY first, then ADD CONSTRAINT … UNIQUE USING INDEX',
  *check(file) {
    const words = { CONSTR_UNIQUE: 'UNIQUE', CONSTR_PRIMARY: 'PRIMARY KEY', CONSTR_EXCLUSION: 'EXCLUDE' };
    for (const { statement, table, constraint, column } of addedConstraints(file)) {
      const word = words[constraint.contype as keyof typeof words];
      if (word && !constraint.indexname)
        yield {
          at: file.placeAt(constraint.location, statement),
          message: `${column ? `${table}.${column}` : table}: ${word} builds its index under a lock`,
        };
    }
  },
};

export const constraintRules = [
  addingRequiredField,
  addingNotNullableField,
  addingForeignKeyConstraint,
  constraintMissingNotValid,
  validatingInSameTransaction,
  disallowedUniqueConstraint,
];
