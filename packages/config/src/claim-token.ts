import { createHash, randomBytes } from 'node:crypto';
import { Secret } from './secret.ts';

/** How long a claim token counts. */
export const CLAIM_MINUTES = 30;

/** A new token: 32 random bytes in base64url, which is 43 characters. */
export function newClaimToken(): Secret {
  return new Secret(randomBytes(32).toString('base64url'));
}

/** What `kg_api.admin_claim` keeps of a token: SHA-256 of its characters. Anything may be given, whatever a visitor sends. */
export function claimTokenHash(token: Secret): Buffer {
  return createHash('sha256').update(token.reveal()).digest();
}
