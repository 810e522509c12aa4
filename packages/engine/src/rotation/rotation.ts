import type { Secret, Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import type { Renewal } from '../model/rotation.ts';
import type { RunContext } from '../run/context.ts';

export interface RotationInput {
  context: RunContext;
  db: Kysely<Tables>;
  /** ENCRYPTION_KEY of `.env`. */
  encryptionKey: Secret;
  /** Who, for the history. */
  actor: string;
  /** Asks a person; returns when they agree, throws otherwise. */
  confirm: (question: string) => Promise<void>;
}

/** How one secret is renewed. Each part can be done again after a kill at any point of it, and then changes nothing that is done. */
export interface Rotation {
  /** Looks whether it can be done now; changes nothing. */
  check(input: RotationInput): Promise<void>;
  /** Makes the new value work, the old one may still; proves it. */
  renew(input: RotationInput, values: Renewal): Promise<void>;
  /** The platform runs on the new value: ends the old one, and proves that, too. */
  retire(input: RotationInput, values: Renewal): Promise<void>;
}

/** One of the values. */
export function secretIn(values: Map<string, Secret>, name: string): Secret {
  const value = values.get(name);
  if (!value) throw new Error(`${name} is not among the renewed values`);
  return value;
}
