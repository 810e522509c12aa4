import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Secret } from '@kg-operator/config';
import { messageOf } from '../model/errors.ts';
import { checkPassword } from './admin.ts';
import { checkApiKey } from './api-key.ts';
import { type ConfigurationDocument, type SecretReference, sourceOf } from './document.ts';

/** A secret that a document refers to, and what came of looking. */
export interface ReferredSecret {
  path: readonly string[];
  reference: SecretReference;
  /** Null where nothing was found; `problem` says why. */
  secret: Secret | null;
  problem: string | null;
  /** Something was found, and can't be such a secret. */
  invalid: boolean;
}

export interface SecretPlaces {
  env: NodeJS.ProcessEnv;
  /** Where relative paths begin: the installation's root. */
  root: string;
}

/** As `readFileSync` reports them: https://nodejs.org/api/errors.html#common-system-errors */
const FILE_PROBLEMS: Record<string, string> = {
  ENOENT: 'is not there',
  EACCES: 'may not be read',
  EISDIR: 'is a folder',
};

/** Looks for every secret that `document` refers to. Throws nothing; no message repeats a secret. */
export function resolveSecrets(document: ConfigurationDocument, places: SecretPlaces): ReferredSecret[] {
  const users = Object.entries(document.users ?? {}).flatMap(([name, { password }]) =>
    password
      ? [refer(['users', name, 'password'], password, places, (secret) => checkPassword(secret, name))]
      : [],
  );
  const keys = Object.entries(document.apiKeys ?? {}).map(([name, reference]) =>
    refer(['apiKeys', name], reference, places, checkApiKey),
  );
  return [...users, ...keys];
}

function refer(
  path: readonly string[],
  reference: SecretReference,
  places: SecretPlaces,
  check: (secret: Secret) => void,
): ReferredSecret {
  const found = look(reference, places);
  if (typeof found === 'string') return { path, reference, secret: null, problem: found, invalid: false };
  try {
    check(found);
    return { path, reference, secret: found, problem: null, invalid: false };
  } catch (error) {
    // Both checks throw nothing but what is wrong with the secret, without the secret.
    const hint = (error as { hint?: string }).hint;
    const problem = `${describeReference(reference)}: ${messageOf(error)}${hint ? `; ${hint}` : ''}`;
    return { path, reference, secret: null, problem, invalid: true };
  }
}

/** The secret, or why there is none. */
function look(reference: SecretReference, { env, root }: SecretPlaces): Secret | string {
  if ('env' in reference) {
    const value = env[reference.env];
    return value ? new Secret(value) : `${reference.env} is ${value === undefined ? 'not set' : 'empty'}`;
  }
  try {
    const text = readFileSync(resolve(root, reference.file), 'utf8').replace(/\r?\n$/, '');
    return text === '' ? `${reference.file} is empty` : new Secret(text);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    return `${reference.file} ${FILE_PROBLEMS[code] ?? `can't be read (${code})`}`;
  }
}

/** For a person: `env KG_ADMIN_PASSWORD`, `file secrets/key`. */
export function describeReference(reference: SecretReference): string {
  return sourceOf(reference).replace(':', ' ');
}
