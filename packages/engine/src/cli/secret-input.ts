import { readFileSync } from 'node:fs';
import { Secret } from '@kg-operator/config';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';

export interface SecretSource {
  /** What it is, for a prompt and for messages. */
  what: string;
  /** The environment variable that may hold it. */
  variable: string;
  /** The value of the flag that names a file, and that flag. */
  file?: string | undefined;
  fileFlag: string;
  stdin?: boolean;
}

/**
 * A secret from a file, standard input or its variable, in that order; null when none is given.
 * @throws OperatorError SECRET_UNREADABLE
 */
export async function givenSecret(
  source: SecretSource,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Secret | null> {
  if (source.file !== undefined) return new Secret(readSecretFile(source.file, source.fileFlag));
  if (source.stdin) return new Secret(await readStdin(source.what));
  const value = env[source.variable];
  return value ? new Secret(value) : null;
}

function readSecretFile(path: string, flag: string): string {
  try {
    return withoutNewline(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new OperatorError('SECRET_UNREADABLE', `${flag}: ${messageOf(error)}`, {
      exitCode: EXIT.usage,
      hint: 'the operator sees only files beneath the installation; for others use standard input',
      cause: error,
    });
  }
}

async function readStdin(what: string): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  const text = withoutNewline(Buffer.concat(chunks).toString('utf8'));
  if (text !== '') return text;
  throw new OperatorError('SECRET_UNREADABLE', `standard input held no ${what}`, { exitCode: EXIT.usage });
}

function withoutNewline(text: string): string {
  return text.replace(/\r?\n$/, '');
}

/** Exit 2: something must be said that nobody is there to be asked for. */
export function mustBeGiven(
  source: Pick<SecretSource, 'what' | 'variable' | 'fileFlag'>,
  otherWays = '',
): OperatorError {
  return new OperatorError('INPUT_MISSING', `no ${source.what} given, and there is no terminal to ask on`, {
    exitCode: EXIT.usage,
    hint: `set ${source.variable}, or use ${source.fileFlag} FILE${otherWays}`,
  });
}
