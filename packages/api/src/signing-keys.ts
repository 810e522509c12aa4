import { createHmac } from 'node:crypto';
import type { PlatformConfig, Secret } from '@kg-operator/config';

/** The signing key does not have the form `operator.sh init` writes. */
export class SigningKeyInvalid extends Error {
  constructor() {
    super('OAUTH_SIGNING_KEY must be 64 hexadecimal digits, as ./operator.sh init writes it');
    this.name = 'SigningKeyInvalid';
  }
}

export interface SigningKey {
  /** Names the key in a token's header and tells nothing of it. */
  kid: string;
  bytes: Uint8Array;
}

export interface SigningKeys {
  /** Signs. */
  current: SigningKey;
  /** Those that a token may be signed with: the one its `kid` names, or all for a token without, as version 0.1.0 issued them. */
  accepted(kid: string | undefined): SigningKey[];
}

/** @throws SigningKeyInvalid */
export function signingKeys(
  current: Secret,
  previous: PlatformConfig['previousSigningKey'],
  now: () => number = Date.now,
): SigningKeys {
  const signing = signingKey(current);
  const before = previous && { ...signingKey(previous.key), until: previous.until?.getTime() ?? Infinity };
  return {
    current: signing,
    accepted(kid) {
      const keys = before && now() < before.until ? [signing, before] : [signing];
      return kid === undefined ? keys : keys.filter((key) => key.kid === kid);
    },
  };
}

function signingKey(key: Secret): SigningKey {
  const hex = key.reveal();
  if (!/^[0-9a-fA-F]{64}$/.test(hex)) throw new SigningKeyInvalid();
  const bytes = Buffer.from(hex, 'hex');
  const kid = createHmac('sha256', bytes).update('kg-operator/signing-key-id/v1').digest('hex').slice(0, 16);
  return { kid, bytes };
}
