import {
  hashPassword,
  MAX_PASSWORD_LENGTH,
  passwordProblem,
  Secret,
  verifyPassword,
} from '@kg-operator/config';
import { ApiError } from './errors.ts';
import { Limiter } from './limiter.ts';
import { LoginAttempts } from './login-attempts.ts';
import type { UserRecord, UserStore } from './users.ts';

/** `config admin` knows no longer names. */
const MAX_USERNAME = 63;

/** What users do with their passwords. `limit` is how many may be wrong within a minute, for one user name. */
export interface Accounts {
  /**
   * The user, or null; it takes as long for an unknown or disabled user as for a wrong password.
   * @throws TooManyAttempts
   */
  login(username: string, password: string, limit: number): Promise<UserRecord | null>;
  /**
   * Sets a user's own password; the same again changes nothing.
   * @throws TooManyAttempts, ApiError 400 for a wrong current password or a new one that is refused, 409 if it was changed meanwhile
   */
  changePassword(username: string, current: string, next: string, limit: number): Promise<UserRecord>;
}

export function createAccounts(users: UserStore, attempts = new LoginAttempts()): Accounts {
  // Each takes one of Node's four threads for files and names, and 19 MiB.
  const hashing = new Limiter(2);
  // Compared against when there is no such user, so that the time of the answer does not tell.
  const nobody = hashPassword('the password of nobody');

  async function check(username: string, password: string): Promise<UserRecord | null> {
    const user = await users.find(username);
    const hash = user?.passwordHash ?? (await nobody);
    const matches = await hashing.run(() => verifyPassword(hash, password));
    return user && matches && !user.disabled ? user : null;
  }

  async function login(given: string, password: string, limit: number): Promise<UserRecord | null> {
    const username = given.trim().toLowerCase();
    // Neither can be right, and neither is worth a place in memory.
    if (username.length > MAX_USERNAME || password.length > MAX_PASSWORD_LENGTH) return null;
    return attempts.attempt(username, limit, () => check(username, password));
  }

  return {
    login,
    async changePassword(username, current, next, limit) {
      const user = await login(username, current, limit);
      if (!user) throw new ApiError(400, 'wrong_password', 'The current password is another one.');
      const problem = passwordProblem(new Secret(next), username);
      if (problem) throw new ApiError(400, 'password_refused', `The new password ${problem}.`);
      if (next === current) return user;
      const changed = await users.setPassword(user, await hashing.run(() => hashPassword(next)));
      if (changed) return changed;
      throw new ApiError(409, 'changed_meanwhile', 'The user was changed meanwhile. Log in, and try again.');
    },
  };
}
