import { hashPassword, type Secret, type Tables, verifyPassword } from '@kg-operator/config';
import { errors, jwtVerify, SignJWT } from 'jose';
import type { Kysely } from 'kysely';

const ISSUER = 'kg-operator';
const AUDIENCE = 'kg-api';
const ALGORITHM = 'HS256';
/** Seconds an access token is valid. */
export const TOKEN_LIFETIME = 3600;
/** Longest password that is hashed at all. */
const MAX_PASSWORD = 1024;

export type Role = 'admin' | 'member';

export interface Identity {
  username: string;
  role: Role;
}

export interface UserRecord extends Identity {
  passwordHash: string;
}

/** Where users are kept. */
export interface UserStore {
  find(username: string): Promise<UserRecord | undefined>;
}

export function databaseUsers(db: Kysely<Tables>): UserStore {
  return {
    async find(username) {
      const row = await db
        .selectFrom('kg_api.users')
        .select(['username', 'role', 'password_hash'])
        .where('username', '=', username)
        .executeTakeFirst();
      return row && { username: row.username, role: row.role, passwordHash: row.password_hash };
    },
  };
}

export interface Auth {
  /** Who that is, or null; it takes as long for an unknown user as for a wrong password. */
  login(username: string, password: string): Promise<Identity | null>;
  /** A signed access token that is valid for TOKEN_LIFETIME seconds. */
  issueToken(identity: Identity): Promise<string>;
  /** Whom a token was issued to; null for anything but a valid token of ours. */
  verifyToken(token: string): Promise<Identity | null>;
}

/** The signing key does not have the form `operator.sh init` writes. */
export class SigningKeyInvalid extends Error {
  constructor() {
    super('OAUTH_SIGNING_KEY must be 64 hexadecimal digits, as ./operator.sh init writes it');
    this.name = 'SigningKeyInvalid';
  }
}

/** @throws SigningKeyInvalid when `signingKey` is not 64 hexadecimal digits. */
export function createAuth(users: UserStore, signingKey: Secret): Auth {
  if (!/^[0-9a-fA-F]{64}$/.test(signingKey.reveal())) throw new SigningKeyInvalid();
  const key = Buffer.from(signingKey.reveal(), 'hex');
  // Compared against when there is no such user, so that the time of the answer does not tell.
  const nobody = hashPassword('the password of nobody');

  return {
    async login(username, password) {
      if (password.length > MAX_PASSWORD) return null;
      const user = await users.find(username.trim().toLowerCase());
      const matches = await verifyPassword(user?.passwordHash ?? (await nobody), password);
      return user && matches ? { username: user.username, role: user.role } : null;
    },

    issueToken({ username, role }) {
      return new SignJWT({ role })
        .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
        .setIssuer(ISSUER)
        .setAudience(AUDIENCE)
        .setSubject(username)
        .setIssuedAt()
        .setExpirationTime(`${TOKEN_LIFETIME}s`)
        .sign(key);
    },

    async verifyToken(token) {
      try {
        const { payload } = await jwtVerify(token, key, {
          algorithms: [ALGORITHM],
          issuer: ISSUER,
          audience: AUDIENCE,
          requiredClaims: ['exp', 'sub'],
        });
        const { sub, role } = payload;
        if (!sub || (role !== 'admin' && role !== 'member')) return null;
        return { username: sub, role };
      } catch (error) {
        if (error instanceof errors.JOSEError) return null;
        throw error;
      }
    },
  };
}
