import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { toMigration } from '../../src/migrations/files.ts';
import { isTransactionControl, prepareAll } from '../../src/migrations/preflight.ts';
import { parseStatements } from '../../src/migrations/statements.ts';

const FULL = process.env.KG_TEST_FULL === '1';

describe('what ends the transaction of the runner is found without parsing every text', () => {
  test.each([
    'COMMIT',
    'SELECT 1;END',
    'SELECT 1; end;',
    'SELECT 1;\n--x\rCOMMIT;',
    '/* a /* b */ */ Begin/**/;',
    'BEGIN -- x\n;',
    'BEGIN NOT DEFERRABLE;',
    'BEGIN\tISOLATION LEVEL SERIALIZABLE;',
    'END AND CHAIN;',
    "DO $$ BEGIN NULL; END; $$; -- it's\nEND/* */;",
    'START\n TRANSACTION;',
    "PREPARE /* x */ TRANSACTION 'x';",
    "ROLLBACK PREPARED 'x';",
    'abort work;',
  ])('%j', async (sql) => {
    await expect(prepareAll([toMigration('0001_a', sql)])).rejects.toMatchObject({
      code: 'MIGRATION_TRANSACTION',
      exitCode: 8,
    });
  });

  test('PostgreSQL’s parser never finds one in a text that was let through', async () => {
    const fragment = fc.constantFrom(
      ...[
        'BEGIN',
        'END',
        'COMMIT',
        'end work',
        'ROLLBACK TO s',
        'ABORT',
        'START TRANSACTION',
        'SAVEPOINT s',
        'SELECT 1',
      ],
      ...[
        "'",
        "''",
        "E'\\'",
        '"',
        '$$',
        '$a$',
        '--',
        '/*',
        '*/',
        ';',
        ';',
        ';',
        '\n',
        '\r',
        ' ',
        '\t',
        '-',
        '\\',
        'x',
      ],
      ...[
        'DO $$ BEGIN NULL; END; $$',
        "SELECT 'COMMIT;'",
        'SELECT $b$;END;$b$',
        '-- ;\n',
        '/* ; */',
        'AND CHAIN',
      ],
    );
    const texts = fc.array(fragment, { minLength: 1, maxLength: 14 }).map((parts) => parts.join(''));
    let found = 0;
    await fc.assert(
      fc.asyncProperty(texts, async (sql) => {
        const migration = toMigration('0001_a', sql);
        const statements = await parseStatements(migration.sql).catch(() => null);
        if (!statements?.some(({ node }) => isTransactionControl(node))) return;
        found += 1;
        await expect(prepareAll([migration])).rejects.toMatchObject({ code: 'MIGRATION_TRANSACTION' });
      }),
      { numRuns: FULL ? 100_000 : 5000, seed: 7 },
    );
    expect(found).toBeGreaterThan(100);
  });
});
