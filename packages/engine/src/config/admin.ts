import {
  hashPassword,
  isUsername,
  passwordProblem,
  type Role,
  type Secret,
  type Tables,
  USERNAME_RULE,
  userRecord,
  verifyPassword,
} from '@kg-operator/config';
import type { Kysely, Selectable, Transaction } from 'kysely';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type Actor, type Change, changeConfig, recordChange } from './history.ts';

export interface UserInput extends Actor {
  username: string;
  password: Secret;
  /** Absent: as it is, or `admin` for a new user. */
  role?: Role | undefined;
  /** `env:NAME` or `file:PATH`, where the password came from; null: from nowhere that can be looked at again. */
  source?: string | null;
}

/** A user as it may be shown. */
export interface UserSummary {
  username: string;
  role: Role;
  disabled: boolean;
  passwordSetAt: Date;
}

/** @throws OperatorError USERNAME_INVALID */
export function checkUsername(username: string): void {
  if (isUsername(username)) return;
  throw new OperatorError('USERNAME_INVALID', `"${username}" can't be a user name`, {
    exitCode: EXIT.usage,
    hint: USERNAME_RULE,
  });
}

/** @throws OperatorError PASSWORD_INVALID */
export function checkPassword(password: Secret, username: string): void {
  const problem = passwordProblem(password, username);
  if (problem === null) return;
  const [what, fix] = problem.split(': ');
  throw new OperatorError('PASSWORD_INVALID', `the password ${what}`, {
    exitCode: EXIT.usage,
    ...(fix ? { hint: fix } : {}),
  });
}

/**
 * Creates a user, or sets its password and role. The same again changes nothing, so tokens stay valid; a new password ends them.
 * @throws OperatorError USERNAME_INVALID, PASSWORD_INVALID, LAST_ADMIN
 */
export async function setUserIn(trx: Transaction<Tables>, input: UserInput): Promise<Change> {
  const { username, source = null } = input;
  checkUsername(username);
  checkPassword(input.password, username);
  const stored = await findUser(trx, username);
  const role = input.role ?? stored?.role ?? 'admin';
  const samePassword =
    stored !== undefined && (await verifyPassword(stored.password_hash, input.password.reveal()));
  const password_hash = samePassword ? stored.password_hash : await hashPassword(input.password.reveal());
  // Given again by hand, it still is what the variable or file holds.
  const password_source = samePassword ? (source ?? stored.password_source) : source;
  if (samePassword && stored.role === role && stored.password_source === password_source)
    return { changed: false };
  if (stored && role !== 'admin') await assertNotLastAdmin(trx, stored, 'demoted');
  const now = new Date();
  const values = {
    role,
    password_hash,
    password_source,
    updated_at: now,
    password_set_at: samePassword ? stored.password_set_at : now,
  };
  await trx
    .insertInto('kg_api.users')
    .values({ username, ...values })
    .onConflict((conflict) => conflict.column('username').doUpdateSet(values))
    .execute();
  await recordChange(trx, input, {
    topic: 'admin',
    action: stored ? 'update' : 'create',
    subject: username,
    before: stored ? userRecord(stored) : null,
    after: userRecord({ ...values, disabled_at: stored?.disabled_at ?? null }),
  });
  return { changed: true };
}

export function setUser(db: Kysely<Tables>, input: UserInput): Promise<Change> {
  return changeConfig(db, (trx) => setUserIn(trx, input));
}

/** Sets the role of a user, whose password stays. The same again changes nothing. @throws OperatorError USER_UNKNOWN, LAST_ADMIN */
export async function setUserRoleIn(
  trx: Transaction<Tables>,
  input: { username: string; role: Role } & Actor,
): Promise<Change> {
  const stored = await requireUser(trx, input.username);
  if (stored.role === input.role) return { changed: false };
  if (input.role !== 'admin') await assertNotLastAdmin(trx, stored, 'demoted');
  await trx
    .updateTable('kg_api.users')
    .set({ role: input.role, updated_at: new Date() })
    .where('username', '=', input.username)
    .execute();
  await recordChange(trx, input, {
    topic: 'admin',
    action: 'update',
    subject: input.username,
    before: userRecord(stored),
    after: userRecord({ ...stored, role: input.role }),
  });
  return { changed: true };
}

/**
 * Keeps a user from logging in, or lets it again. The same again changes nothing.
 * @throws OperatorError USER_UNKNOWN, LAST_ADMIN
 */
export async function setUserDisabledIn(
  trx: Transaction<Tables>,
  input: { username: string; disabled: boolean } & Actor,
): Promise<Change> {
  const stored = await requireUser(trx, input.username);
  if ((stored.disabled_at !== null) === input.disabled) return { changed: false };
  if (input.disabled) await assertNotLastAdmin(trx, stored, 'disabled');
  const disabled_at = input.disabled ? new Date() : null;
  await trx
    .updateTable('kg_api.users')
    .set({ disabled_at, updated_at: new Date() })
    .where('username', '=', input.username)
    .execute();
  await recordChange(trx, input, {
    topic: 'admin',
    action: input.disabled ? 'disable' : 'enable',
    subject: input.username,
    before: userRecord(stored),
    after: userRecord({ ...stored, disabled_at }),
  });
  return { changed: true };
}

export function setUserDisabled(
  db: Kysely<Tables>,
  input: { username: string; disabled: boolean } & Actor,
): Promise<Change> {
  return changeConfig(db, (trx) => setUserDisabledIn(trx, input));
}

/** @throws OperatorError USER_UNKNOWN, LAST_ADMIN */
export async function deleteUserIn(
  trx: Transaction<Tables>,
  input: { username: string } & Actor,
): Promise<void> {
  const stored = await requireUser(trx, input.username);
  await assertNotLastAdmin(trx, stored, 'deleted');
  await trx.deleteFrom('kg_api.users').where('username', '=', input.username).execute();
  await recordChange(trx, input, {
    topic: 'admin',
    action: 'delete',
    subject: input.username,
    before: userRecord(stored),
    after: null,
  });
}

export function deleteUser(db: Kysely<Tables>, input: { username: string } & Actor): Promise<void> {
  return changeConfig(db, (trx) => deleteUserIn(trx, input));
}

/** Every user, by name. */
export async function listUsers(db: Kysely<Tables>): Promise<UserSummary[]> {
  const rows = await db
    .selectFrom('kg_api.users')
    .select(['username', 'role', 'disabled_at', 'password_set_at'])
    .orderBy('username')
    .execute();
  return rows.map(summaryOf);
}

/** @throws OperatorError USER_UNKNOWN */
export async function findUserSummary(db: Kysely<Tables>, username: string): Promise<UserSummary> {
  return summaryOf(await requireUser(db, username));
}

function summaryOf({
  username,
  role,
  disabled_at,
  password_set_at,
}: Pick<User, 'username' | 'role' | 'disabled_at' | 'password_set_at'>): UserSummary {
  return { username, role, disabled: disabled_at !== null, passwordSetAt: password_set_at };
}

/** @throws OperatorError USER_UNKNOWN */
export async function requireUser(db: Kysely<Tables>, username: string): Promise<User> {
  const user = await findUser(db, username);
  if (user) return user;
  const others = (await listUsers(db)).map((one) => one.username);
  throw new OperatorError('USER_UNKNOWN', `there is no user ${JSON.stringify(username)}`, {
    exitCode: EXIT.usage,
    hint:
      others.length > 0 ? `there are: ${others.join(', ')}` : 'create one with ./operator.sh config admin',
  });
}

type User = Selectable<Tables['kg_api.users']>;

function findUser(db: Kysely<Tables>, username: string): Promise<User | undefined> {
  return db.selectFrom('kg_api.users').selectAll().where('username', '=', username).executeTakeFirst();
}

/** Without an enabled admin nobody could manage users from the platform, and the configuration would be incomplete. */
async function assertNotLastAdmin(trx: Transaction<Tables>, user: User, what: string): Promise<void> {
  if (user.role !== 'admin' || user.disabled_at !== null) return;
  const other = await trx
    .selectFrom('kg_api.users')
    .select('username')
    .where('role', '=', 'admin')
    .where('disabled_at', 'is', null)
    .where('username', '<>', user.username)
    .executeTakeFirst();
  if (other) return;
  throw new OperatorError('LAST_ADMIN', `${user.username} is the last enabled admin and can't be ${what}`, {
    exitCode: EXIT.precondition,
    hint: 'create another first: ./operator.sh config admin --username NAME',
  });
}
