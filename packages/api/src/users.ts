import { changeConfig, recordChange, type Tables, userRecord } from '@kg-operator/config';
import type { Kysely } from 'kysely';

export interface UserRecord {
  username: string;
  passwordHash: string;
  disabled: boolean;
  passwordSetAt: Date;
}

/** Where users are kept. */
export interface UserStore {
  find(username: string): Promise<UserRecord | undefined>;
  /**
   * Sets a user's own password, and records the change.
   * @returns the user as it is then; undefined if it is not any more as `user` says.
   */
  setPassword(user: UserRecord, passwordHash: string): Promise<UserRecord | undefined>;
}

export function databaseUsers(db: Kysely<Tables>): UserStore {
  return {
    async find(username) {
      const row = await db
        .selectFrom('kg_api.users')
        .select(['username', 'password_hash', 'disabled_at', 'password_set_at'])
        .where('username', '=', username)
        .executeTakeFirst();
      return (
        row && {
          username: row.username,
          passwordHash: row.password_hash,
          disabled: row.disabled_at !== null,
          passwordSetAt: row.password_set_at,
        }
      );
    },

    setPassword: ({ username, passwordHash }, password_hash) =>
      changeConfig(db, async (trx) => {
        const stored = await trx
          .selectFrom('kg_api.users')
          .selectAll()
          .where('username', '=', username)
          .executeTakeFirst();
        if (!stored || stored.disabled_at || stored.password_hash !== passwordHash) return undefined;
        const now = new Date();
        const password = { password_hash, password_source: null, password_set_at: now, updated_at: now };
        await trx.updateTable('kg_api.users').set(password).where('username', '=', username).execute();
        await recordChange(
          trx,
          { actor: `api:${username}` },
          {
            topic: 'admin',
            action: 'update',
            subject: username,
            before: userRecord(stored),
            after: userRecord({ ...stored, ...password }),
          },
        );
        return { username, passwordHash: password_hash, disabled: false, passwordSetAt: now };
      }),
  };
}
