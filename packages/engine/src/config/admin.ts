import { hashPassword, type Secret, type Tables, verifyPassword } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type Actor, type Change, recordChange } from './history.ts';

// Length is what counts, and rules of composition do not (NIST SP 800-63B §5.1.1.2, whose floor is 8).
const MIN_LENGTH = 12;
const MAX_LENGTH = 1024;
const USERNAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/** @throws OperatorError PASSWORD_INVALID */
export function checkPassword(password: Secret): void {
  const { length } = password.reveal();
  if (length < MIN_LENGTH || length > MAX_LENGTH) {
    throw new OperatorError('PASSWORD_INVALID', `the admin password has ${length} characters`, {
      exitCode: EXIT.usage,
      hint: `use ${MIN_LENGTH} to ${MAX_LENGTH} characters`,
    });
  }
}

/** @throws OperatorError USERNAME_INVALID */
export function checkUsername(username: string): void {
  if (USERNAME.test(username)) return;
  throw new OperatorError('USERNAME_INVALID', `"${username}" can't be a user name`, {
    exitCode: EXIT.usage,
    hint: 'use 1 to 63 of a-z, 0-9, ".", "_" and "-", starting with a letter or digit',
  });
}

/** Creates the admin user, or sets its password. The same password again changes nothing. @throws OperatorError */
export async function setAdmin(
  db: Kysely<Tables>,
  input: { username: string; password: Secret } & Actor,
): Promise<Change> {
  checkUsername(input.username);
  checkPassword(input.password);
  const password = input.password.reveal();
  return db.transaction().execute(async (trx) => {
    const user = await trx
      .selectFrom('kg_api.users')
      .selectAll()
      .where('username', '=', input.username)
      .forUpdate()
      .executeTakeFirst();
    if (user?.role === 'admin' && (await verifyPassword(user.password_hash, password)))
      return { changed: false };
    const password_hash = await hashPassword(password);
    await trx
      .insertInto('kg_api.users')
      .values({ username: input.username, password_hash, role: 'admin' })
      .onConflict((conflict) =>
        conflict.column('username').doUpdateSet({ password_hash, role: 'admin', updated_at: new Date() }),
      )
      .execute();
    await recordChange(trx, input, user ? 'update' : 'create', `user ${input.username}`, { role: 'admin' });
    return { changed: true };
  });
}
