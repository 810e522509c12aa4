import type { RotatedSecret } from '../model/rotation.ts';
import { encryptionKeyRotation } from './encryption-key.ts';
import { garageSecretRotation } from './garage-secret.ts';
import { oauthKeyRotation } from './oauth-key.ts';
import { postgresPasswordRotation } from './postgres-password.ts';
import type { Rotation } from './rotation.ts';

export const ROTATIONS: Record<RotatedSecret, Rotation> = {
  'encryption-key': encryptionKeyRotation,
  'oauth-key': oauthKeyRotation,
  'postgres-password': postgresPasswordRotation,
  'garage-secret': garageSecretRotation,
};
