import {
  changeConfig,
  claimTokenHash,
  hashPassword,
  isUsername,
  passwordProblem,
  recordChange,
  type Secret,
  type Tables,
  USERNAME_RULE,
  userRecord,
} from '@kg-operator/config';
import { type Kysely, sql, type Transaction } from 'kysely';
import { ApiError } from './errors.ts';
import { Limiter } from './limiter.ts';
import { LoginAttempts } from './login-attempts.ts';
import type { UserRecord } from './users.ts';

export interface Claim {
  token: Secret;
  username: string;
  password: Secret;
}

/** How the first admin is made by whoever has the token of the host's terminal. */
export interface Claims {
  /**
   * The admin that it made; null when the token does not count, for whatever reason. `limit` is how many may be refused within a minute.
   * @throws TooManyAttempts, whether there is a claim or not; with a token that counts ApiError 422 for the name or the password, and it
   *   still counts
   */
  claim(claim: Claim, limit: number): Promise<UserRecord | null>;
}

/** Where the claim is kept. */
export interface ClaimStore {
  /** Whether a token of this hash counts now: the last one, not expired, not used, and nobody is admin. */
  counts(tokenHash: Buffer): Promise<boolean>;
  /**
   * Uses up the token and makes the admin, both or neither.
   * @returns null if the token does not count any more; 'taken' if the name is another user's, and then it still counts
   */
  use(
    tokenHash: Buffer,
    admin: { username: string; passwordHash: string },
  ): Promise<UserRecord | 'taken' | null>;
}

/** There is one token, so all who try share one count. A name of a user it is not: this limiter counts nothing else. */
const EVERYBODY = '';

export function createClaims(store: ClaimStore, attempts = new LoginAttempts()): Claims {
  // Only for those who have the token: for anybody else nothing is hashed.
  const hashing = new Limiter(1);

  async function attempt({ token, username, password }: Claim): Promise<UserRecord | null> {
    const tokenHash = claimTokenHash(token);
    if (!(await store.counts(tokenHash))) return null;
    if (!isUsername(username))
      throw new ApiError(422, 'username_refused', `This can't be a user name: ${USERNAME_RULE}.`);
    const problem = passwordProblem(password, username);
    if (problem) throw new ApiError(422, 'password_refused', `The password ${problem}.`);
    const passwordHash = await hashing.run(() => hashPassword(password.reveal()));
    const user = await store.use(tokenHash, { username, passwordHash });
    if (user === 'taken')
      throw new ApiError(
        422,
        'username_taken',
        'There is a user of this name, who is no admin: take another.',
      );
    return user;
  }

  return {
    claim: (claim, limit) => attempts.attempt(EVERYBODY, limit, () => attempt(claim)),
  };
}

export function databaseClaims(db: Kysely<Tables>): ClaimStore {
  return {
    async counts(tokenHash) {
      const row = await selectCounting(db, tokenHash).executeTakeFirst();
      return row !== undefined;
    },

    use: (tokenHash, { username, passwordHash }) =>
      changeConfig(db, async (trx) => {
        // Changes are made one at a time: what is read here stays true, and of many at once the first is the only one.
        if (!(await selectCounting(trx, tokenHash).executeTakeFirst())) return null;
        if (await isTaken(trx, username)) return 'taken';
        const now = new Date();
        await trx.updateTable('kg_api.admin_claim').set({ used_at: sql<Date>`clock_timestamp()` }).execute();
        await trx
          .insertInto('kg_api.users')
          .values({
            username,
            password_hash: passwordHash,
            role: 'admin',
            password_set_at: now,
            password_source: null,
          })
          .execute();
        await recordChange(
          trx,
          // Whoever had the token: not a user yet.
          { actor: 'api:claim' },
          {
            topic: 'admin',
            action: 'create',
            subject: username,
            before: null,
            after: userRecord({
              role: 'admin',
              disabled_at: null,
              password_hash: passwordHash,
              password_source: null,
            }),
          },
        );
        return { username, passwordHash, disabled: false, passwordSetAt: now };
      }),
  };
}

/** One query that does the same whatever there is: the claim of this token, if it counts now. */
function selectCounting(db: Kysely<Tables>, tokenHash: Buffer) {
  return db
    .selectFrom('kg_api.admin_claim')
    .select('singleton')
    .where('token_hash', '=', tokenHash)
    .where('used_at', 'is', null)
    .where('expires_at', '>', sql<Date>`clock_timestamp()`)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('kg_api.users')
            .select('username')
            .where('role', '=', 'admin')
            .where('disabled_at', 'is', null),
        ),
      ),
    );
}

async function isTaken(trx: Transaction<Tables>, username: string): Promise<boolean> {
  const user = await trx
    .selectFrom('kg_api.users')
    .select('username')
    .where('username', '=', username)
    .executeTakeFirst();
  return user !== undefined;
}
