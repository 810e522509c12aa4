import { hkdfSync } from 'node:crypto';
import { Secret } from '@kg-operator/config';
import { bech32 } from '@scure/base';

/**
 * The installation's own private key for its backups, derived from `ENCRYPTION_KEY`: it verifies and restores on this host without the
 * recovery kit, and is stored nowhere. An age X25519 identity: 32 bytes as Bech32 (https://age-encryption.org/v1).
 */
export function hostIdentity(encryptionKey: Secret): Secret {
  const scalar = hkdfSync(
    'sha256',
    Buffer.from(encryptionKey.reveal(), 'hex'),
    '',
    'kg-operator/backup-identity/v1',
    32,
  );
  return new Secret(bech32.encodeFromBytes('AGE-SECRET-KEY-', new Uint8Array(scalar)).toUpperCase());
}
