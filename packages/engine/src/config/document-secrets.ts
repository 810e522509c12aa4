import { readFileSync } from 'node:fs';
import { basename, relative, resolve, sep } from 'node:path';
import { Secret } from '@kg-operator/config';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { checkPassword } from './admin.ts';
import { checkApiKey } from './api-key.ts';
import { type ConfigurationDocument, type SecretReference, sourceOf } from './document.ts';
import type { ConfigurationFile } from './document-parse.ts';

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
  /** Nothing outside of the root can be seen, and only some variables come in; messages say which. */
  inContainer?: boolean;
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
function look(reference: SecretReference, { env, root, inContainer }: SecretPlaces): Secret | string {
  if ('env' in reference) {
    const value = env[reference.env];
    return value ? new Secret(value) : `${reference.env} is ${value === undefined ? 'not set' : 'empty'}`;
  }
  try {
    const text = readFileSync(resolve(root, reference.file), 'utf8').replace(/\r?\n$/, '');
    return text === '' ? `${reference.file} is empty` : new Secret(text);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (inContainer && isOutside(root, reference.file))
      return `${reference.file} is outside of ${root}, and the operator sees nothing else: put it there, as {file: secrets/${basename(reference.file)}}`;
    return `${reference.file} ${FILE_PROBLEMS[code] ?? `can't be read (${code})`}`;
  }
}

function isOutside(root: string, file: string): boolean {
  const inside = relative(root, resolve(root, file));
  return inside === '..' || inside.startsWith(`..${sep}`);
}

/** The error for secrets that are not where a file says; `details` has a line for each. */
export function secretsUnresolved(
  name: string,
  details: string[],
  { inContainer }: SecretPlaces,
): OperatorError {
  return new OperatorError('SECRET_UNRESOLVED', `${name} refers to secrets that are not there`, {
    exitCode: EXIT.configuration,
    details,
    hint: inContainer
      ? 'export the variables; those whose names do not begin with KG_ are passed on with --from-env NAME, and files must be beneath the installation'
      : 'set the variables for this command, or correct the paths, which begin at the installation',
  });
}

/** @throws OperatorError SECRET_UNRESOLVED, FILE_INVALID naming every secret of the file that is not there, or can't be one */
export function assertSecretsThere({ name, document, at }: ConfigurationFile, places: SecretPlaces): void {
  const wrong = resolveSecrets(document, places).filter(({ problem }) => problem !== null);
  if (wrong.length === 0) return;
  const details = wrong.map(({ path, problem }) => `${at(path)}: ${path.join('.')}: ${problem}`);
  if (wrong.some(({ invalid }) => !invalid)) throw secretsUnresolved(name, details, places);
  throw new OperatorError('FILE_INVALID', `${name} refers to secrets that can't be used`, {
    exitCode: EXIT.configuration,
    details,
    hint: 'correct what they hold; nothing was changed',
  });
}

/** For a person: `env KG_ADMIN_PASSWORD`, `file secrets/key`. */
export function describeReference(reference: SecretReference): string {
  return sourceOf(reference).replace(':', ' ');
}
