import { readFileSync } from 'node:fs';
import { Secret } from './secret.ts';

/** A secret that neither `NAME` nor `NAME_FILE` provides. */
export class SecretMissing extends Error {
  readonly secretName: string;

  constructor(secretName: string, reason: string) {
    super(
      `${secretName} is ${reason}: set ${secretName}, or ${secretName}_FILE to the path of a file that holds it`,
    );
    this.name = 'SecretMissing';
    this.secretName = secretName;
  }
}

/**
 * Reads a secret from the variable `name`, or from the file that `name_FILE` points to (one trailing newline is dropped).
 * @throws SecretMissing when neither is set, the file can't be read, or the value is empty.
 */
export function readSecret(name: string, env: NodeJS.ProcessEnv = process.env): Secret {
  const file = env[`${name}_FILE`];
  const value = env[name] ?? (file ? readFile(name, file) : undefined);
  if (value === undefined) throw new SecretMissing(name, 'not set');
  if (value === '') throw new SecretMissing(name, 'empty');
  return new Secret(value);
}

function readFile(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw new SecretMissing(
      name,
      `not readable (${path}: ${(error as NodeJS.ErrnoException).code ?? 'error'})`,
    );
  }
}
