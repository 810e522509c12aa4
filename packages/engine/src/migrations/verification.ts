import type { MigrationSession } from '../database/session.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { Prepared } from './preflight.ts';

const SHOWN_ROWS = 10;

/**
 * Runs the queries of `.verify.sql` in the transaction that is open, unable to write.
 * @throws OperatorError MIGRATION_VERIFY when any of them returns a row, or fails
 */
export async function runVerify(session: MigrationSession, { migration, verify }: Prepared): Promise<void> {
  const path = migration.file.replace(/\.sql$/, '.verify.sql');
  for (const statement of verify) {
    const [, , result] = await session
      .script(`SAVEPOINT kg_verify;SET LOCAL transaction_read_only = on;\n${statement.text}\n;`)
      .catch((error: Error) => {
        throw new OperatorError('MIGRATION_VERIFY', `${path}:${statement.line}: ${error.message}`, {
          exitCode: EXIT.schema,
          hint: 'correct the check; nothing of the migration was applied',
          cause: error,
        });
      });
    await session.script('ROLLBACK TO SAVEPOINT kg_verify;RELEASE SAVEPOINT kg_verify;');
    const rows = result?.rows ?? [];
    if (rows.length === 0) continue;
    const more = rows.length > SHOWN_ROWS ? [`… and ${rows.length - SHOWN_ROWS} more`] : [];
    throw new OperatorError(
      'MIGRATION_VERIFY',
      `${path}:${statement.line}: the check returned ${rows.length} ${rows.length === 1 ? 'row' : 'rows'}`,
      {
        exitCode: EXIT.schema,
        details: [...rows.slice(0, SHOWN_ROWS).map((row) => JSON.stringify(row)), ...more],
        hint: 'correct the migration, the data or the check; nothing of the migration was applied',
      },
    );
  }
}
