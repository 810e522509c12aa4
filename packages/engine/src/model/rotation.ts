import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Secret } from '@kg-operator/config';
import { EXIT, OperatorError } from './errors.ts';
import { readEnvFile } from './settings.ts';

/** What `rotate` renews, and the keys of `.env` it is made of. operator.sh names the same. */
export const ROTATED = {
  'encryption-key': ['ENCRYPTION_KEY'],
  'oauth-key': ['OAUTH_SIGNING_KEY'],
  'postgres-password': ['POSTGRES_PASSWORD'],
  'garage-secret': ['GARAGE_RPC_SECRET', 'GARAGE_ADMIN_TOKEN'],
} as const;

export type RotatedSecret = keyof typeof ROTATED;
export const ROTATED_SECRETS = Object.keys(ROTATED) as RotatedSecret[];

/** The values of a secret's keys before and after. */
export interface Renewal {
  from: Map<string, Secret>;
  to: Map<string, Secret>;
}

/** operator.sh writes this line into `.env.next`, which becomes `.env`. */
const MARK = /^# Rotated ([a-z-]+) /m;

/**
 * The secret whose rotation was begun and not finished: `.env.next` is staged, or `.env.previous` still kept. `unknown` where the files
 * do not say which; null where there is none.
 */
export function unfinishedRotation(root: string): RotatedSecret | 'unknown' | null {
  const staged = existsSync(join(root, '.env.next'));
  if (!staged && !existsSync(join(root, '.env.previous'))) return null;
  const [, name] = MARK.exec(text(join(root, staged ? '.env.next' : '.env'))) ?? [];
  return ROTATED_SECRETS.find((secret) => secret === name) ?? 'unknown';
}

/**
 * From `.env` to `.env.next`.
 * @throws OperatorError ROTATION_NOT_STAGED, ROTATION_FILES
 */
export function stagedRenewal(root: string, secret: RotatedSecret): Renewal {
  if (!existsSync(join(root, '.env.next'))) throw notFromHere('there is no .env.next', secret);
  if (
    existsSync(join(root, '.env.previous')) &&
    text(join(root, '.env.previous')) !== text(join(root, '.env'))
  )
    throw new OperatorError('ROTATION_FILES', '.env.previous is there and is not what .env holds', {
      exitCode: EXIT.precondition,
      hint: 'it is left of another rotation: move it away, if the platform works with .env',
    });
  return renewal(root, secret, '.env', '.env.next');
}

/**
 * From `.env.previous` to `.env`.
 * @throws OperatorError ROTATION_NOT_STAGED, ROTATION_FILES
 */
export function renewalInForce(root: string, secret: RotatedSecret): Renewal {
  if (!existsSync(join(root, '.env.previous'))) throw notFromHere('there is no .env.previous', secret);
  return renewal(root, secret, '.env.previous', '.env');
}

function renewal(root: string, secret: RotatedSecret, before: string, after: string): Renewal {
  const [old, renewed] = [readEnvFile(join(root, before)), readEnvFile(join(root, after))];
  const keys = [...new Set([...old.keys(), ...renewed.keys()])];
  const changed = keys.filter((key) => old.get(key) !== renewed.get(key));
  const wanted: readonly string[] = ROTATED[secret];
  if (changed.length !== wanted.length || !changed.every((key) => wanted.includes(key))) {
    throw new OperatorError(
      'ROTATION_FILES',
      `${before} and ${after} must differ in ${wanted.join(' and ')} alone; they differ in ${changed.join(', ') || 'nothing'}`,
      {
        exitCode: EXIT.precondition,
        hint: `compare the two files; keep the one that the platform works with as .env`,
      },
    );
  }
  const values = (file: Map<string, string>) =>
    new Map(wanted.map((key) => [key, new Secret(file.get(key) ?? '')]));
  return { from: values(old), to: values(renewed) };
}

function notFromHere(why: string, secret: RotatedSecret): OperatorError {
  return new OperatorError('ROTATION_NOT_STAGED', `${why}: a rotation begins on the host`, {
    exitCode: EXIT.precondition,
    hint: `./operator.sh rotate ${secret}`,
  });
}

/** @throws Error of the file system: whoever asks has seen that it is there */
function text(path: string): string {
  return readFileSync(path, 'utf8');
}
