import { CLAIM_MINUTES, claimTokenHash, newClaimToken, type Secret, type Tables } from '@kg-operator/config';
import { type Kysely, sql, type Transaction } from 'kysely';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type Actor, changeConfig, recordChange } from './history.ts';

/** A claim as it is printed, once: the database has only the token's hash. */
export interface IssuedClaim {
  token: Secret;
  expiresAt: Date;
}

/**
 * Makes a token with which the first admin can be made in the web app, for half an hour. The one before ends.
 * @throws OperatorError ADMIN_EXISTS
 */
export function issueClaim(db: Kysely<Tables>, actor: Actor): Promise<IssuedClaim> {
  return changeConfig(db, (trx) => putClaim(trx, actor, CLAIM_MINUTES));
}

/**
 * Lets the platform start without an admin: from then on layer 3 wants none. Its token is thrown away and counts for no moment; one that
 * counts is made by `issueClaim()`. What is open already stays.
 * @throws OperatorError ADMIN_EXISTS
 */
export async function openClaimIn(trx: Transaction<Tables>, actor: Actor): Promise<void> {
  const open = await trx
    .selectFrom('kg_api.admin_claim')
    .select('singleton')
    .where('used_at', 'is', null)
    .executeTakeFirst();
  if (!open) await putClaim(trx, actor, 0);
}

async function putClaim(trx: Transaction<Tables>, actor: Actor, minutes: number): Promise<IssuedClaim> {
  await assertNoAdmin(trx);
  const token = newClaimToken();
  // By the database's clock, which the API asks, too.
  const claim = {
    token_hash: claimTokenHash(token),
    created_at: sql<Date>`clock_timestamp()`,
    expires_at: sql<Date>`clock_timestamp() + make_interval(mins => ${minutes})`,
    used_at: null,
  };
  const { expires_at } = await trx
    .insertInto('kg_api.admin_claim')
    .values(claim)
    .onConflict((conflict) => conflict.column('singleton').doUpdateSet(claim))
    .returning('expires_at')
    .executeTakeFirstOrThrow();
  await recordChange(trx, actor, {
    topic: 'claim',
    action: 'create',
    subject: 'first admin',
    before: null,
    after: { expiresAt: expires_at.toISOString() },
  });
  return { token, expiresAt: expires_at };
}

async function assertNoAdmin(trx: Transaction<Tables>): Promise<void> {
  const admin = await trx
    .selectFrom('kg_api.users')
    .select('username')
    .where('role', '=', 'admin')
    .where('disabled_at', 'is', null)
    .orderBy('id')
    .executeTakeFirst();
  if (!admin) return;
  throw new OperatorError('ADMIN_EXISTS', `there is an admin already: ${admin.username}`, {
    exitCode: EXIT.precondition,
    hint: `set another password: ./operator.sh config admin --username ${admin.username}`,
  });
}
