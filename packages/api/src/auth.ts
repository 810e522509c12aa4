import type { PlatformUser, Role } from '@kg-operator/config';
import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import type { SigningKeys } from './signing-keys.ts';
import type { UserRecord } from './users.ts';

const ISSUER = 'kg-operator';
const AUDIENCE = 'kg-api';
const ALGORITHM = 'HS256';
/** Milliseconds by which two readings of one timestamp may differ: drivers cut off or round PostgreSQL's microseconds. */
const READING_MS = 1;

export interface Identity {
  username: string;
  role: Role;
}

/** RFC 6749, 5.1. */
export interface TokenAnswer {
  access_token: string;
  token_type: 'Bearer';
  /** Seconds. */
  expires_in: number;
}

/** Who may do what, by one configuration. */
export interface Auth {
  issueToken(user: Pick<UserRecord, 'username' | 'passwordSetAt'>): Promise<TokenAnswer>;
  /** Whom a token was issued to, as that user is now; null for anything but a valid token of ours, of an enabled user, for its password of now. */
  verifyToken(token: string): Promise<Identity | null>;
  /** Whether this configuration lets the user in. */
  admits(username: string): boolean;
  /** Whether tokens for a password that the user had before this one are refused. */
  refusesBefore(user: Pick<UserRecord, 'username' | 'passwordSetAt'>): boolean;
}

export interface AuthSettings {
  users: PlatformUser[];
  keys: SigningKeys;
  /** Seconds. */
  tokenLifetime: number;
}

export function createAuth({ users, keys, tokenLifetime }: AuthSettings): Auth {
  const byName = new Map(users.map((user) => [user.username, user]));

  return {
    async issueToken({ username, passwordSetAt }) {
      const access_token = await new SignJWT({ pwd: passwordSetAt.getTime() })
        .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT', kid: keys.current.kid })
        .setIssuer(ISSUER)
        .setAudience(AUDIENCE)
        .setSubject(username)
        .setIssuedAt()
        .setExpirationTime(`${tokenLifetime}s`)
        .sign(keys.current.bytes);
      return { access_token, token_type: 'Bearer', expires_in: tokenLifetime };
    },

    async verifyToken(token) {
      const payload = await verify(token, keys);
      const user = byName.get(payload?.sub ?? '');
      if (!payload || !user || user.disabled) return null;
      // When the password was set that the user logged in with, by the database's clock; tokens of version 0.1.0 say only when they were
      // issued, in whole seconds of the API's.
      const passwordOf = typeof payload.pwd === 'number' ? payload.pwd : (payload.iat ?? 0) * 1000;
      if (passwordOf + READING_MS < user.passwordSetAt.getTime()) return null;
      return { username: user.username, role: user.role };
    },

    admits: (username) => byName.get(username)?.disabled === false,

    refusesBefore({ username, passwordSetAt }) {
      const user = byName.get(username);
      return !user || user.passwordSetAt.getTime() + READING_MS >= passwordSetAt.getTime();
    },
  };
}

async function verify(token: string, keys: SigningKeys): Promise<JWTPayload | null> {
  let kid: string | undefined;
  try {
    ({ kid } = decodeProtectedHeader(token));
  } catch {
    // Not a JWT, whatever it is.
    return null;
  }
  for (const key of keys.accepted(kid)) {
    try {
      const { payload } = await jwtVerify(token, key.bytes, {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ['exp', 'iat', 'sub'],
      });
      return payload;
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
    }
  }
  return null;
}
