import { credentialFingerprint, type Secret, type Tables } from '@kg-operator/config';
import { type Kysely, sql } from 'kysely';
import { keyInForce } from '../config/fingerprint.ts';
import { changeConfig, recordChange } from '../config/history.ts';
import { openSession } from '../database/session.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { RunContext } from '../run/context.ts';
import { type Rotation, secretIn } from './rotation.ts';
import { scramVerifier } from './scram.ts';

const NAME = 'POSTGRES_PASSWORD';

/** The role gets the new password, its history row in the same transaction; the containers that use it are made anew afterwards. */
export const postgresPasswordRotation: Rotation = {
  async check({ db }) {
    await requireScram(db);
  },

  async renew({ context, db, encryptionKey, actor }, { from, to }) {
    const [old, renewed] = [secretIn(from, NAME), secretIn(to, NAME)];
    if (await logsIn(context, renewed)) return;
    await changeConfig(db, async (trx) => {
      const { user } = await context.databaseSettings();
      await sql`ALTER ROLE ${sql.id(user)} PASSWORD ${sql.lit(scramVerifier(renewed))}`.execute(trx);
      const key = await keyInForce(trx, encryptionKey);
      await recordChange(
        trx,
        { actor },
        {
          topic: 'rotate',
          action: 'rotate',
          subject: 'postgres-password',
          before: { fingerprint: credentialFingerprint(key, old) },
          after: { fingerprint: credentialFingerprint(key, renewed) },
        },
      );
    });
    if (!(await logsIn(context, renewed))) throw unproven('the database refuses the new password');
  },

  async retire({ context }, { from, to }) {
    if (!(await logsIn(context, secretIn(to, NAME)))) throw unproven('the database refuses the new password');
    if (await logsIn(context, secretIn(from, NAME)))
      throw unproven('the database still accepts the old password');
  },
};

/** A fresh connection with this password. @throws OperatorError DATABASE_UNREACHABLE */
async function logsIn(context: RunContext, password: Secret): Promise<boolean> {
  try {
    await (await openSession({ ...(await context.databaseSettings()), password })).close();
    return true;
  } catch (error) {
    if (error instanceof OperatorError && error.code === 'DATABASE_PASSWORD') return false;
    throw error;
  }
}

/**
 * Only where every way in asks for the password, and compares it with a SCRAM verifier, does a login prove anything.
 * @throws OperatorError NOT_SCRAM
 */
async function requireScram(db: Kysely<Tables>): Promise<void> {
  const { rows } = await sql<{ line: string }>`
    SELECT 'the role ' || rolname || ' has no SCRAM verifier' AS line
      FROM pg_catalog.pg_authid WHERE rolname = current_user AND coalesce(rolpassword, '') NOT LIKE 'SCRAM-SHA-256$%'
    UNION ALL
    SELECT 'pg_hba.conf line ' || line_number || ' has method ' || coalesce(auth_method, 'unknown')
      FROM pg_catalog.pg_hba_file_rules WHERE coalesce(auth_method, '') NOT IN ('scram-sha-256', 'reject')`.execute(
    db,
  );
  if (rows.length === 0) return;
  throw new OperatorError('NOT_SCRAM', 'this PostgreSQL does not ask everybody for a SCRAM password', {
    exitCode: EXIT.precondition,
    details: rows.map(({ line }) => line),
    hint: 'use the pg_hba.conf of kg-operator: scram-sha-256 everywhere',
  });
}

function unproven(what: string): OperatorError {
  return new OperatorError('PASSWORD_NOT_ROTATED', what, {
    exitCode: EXIT.unhealthy,
    hint: 'look at ./operator.sh logs postgres',
  });
}
