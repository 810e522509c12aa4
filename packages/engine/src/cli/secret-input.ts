import { readFileSync } from 'node:fs';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { Secret } from '@kg-operator/config';
import { Flags } from '@oclif/core';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';

/** A secret, and where it can be looked up again: `env:NAME` or `file:PATH`; null for a prompt or standard input. */
export interface GivenSecret {
  secret: Secret;
  source: string | null;
}

export interface SecretSource {
  /** What it is, for a prompt and for messages. */
  what: string;
  /** The environment variable that may hold it without being named. */
  variable: string;
  /** The value of the flag that names a file, and that flag. */
  file?: string | undefined;
  fileFlag?: string;
  /** The name of a variable that was given by a flag. */
  env?: string | undefined;
  stdin?: boolean;
}

// A secret is a line; more is a wrong file.
const MAX_BYTES = 64 * 1024;

/** The flags by which a secret is given. `was` begins the names that version 0.1.0 had for them. */
export function secretFlags(what: string, was: 'password' | 'key') {
  return {
    'from-file': Flags.string({
      description: `file that holds the ${what}`,
      helpValue: 'FILE',
      aliases: [`${was}-file`],
      exclusive: ['from-env', 'from-stdin'],
    }),
    'from-env': Flags.string({
      description: `environment variable that holds the ${what}`,
      helpValue: 'NAME',
      exclusive: ['from-file', 'from-stdin'],
    }),
    'from-stdin': Flags.boolean({
      description: `read the ${what} from standard input`,
      aliases: [`${was}-stdin`],
      exclusive: ['from-file', 'from-env'],
    }),
  };
}

/** What those flags say. */
export function secretSource(
  what: string,
  variable: string,
  flags: { 'from-file': string | undefined; 'from-env': string | undefined; 'from-stdin': boolean },
): SecretSource {
  return { what, variable, file: flags['from-file'], env: flags['from-env'], stdin: flags['from-stdin'] };
}

/**
 * A secret from a file, a variable that was named, standard input or its usual variable, in that order; null when none is given.
 * @throws OperatorError SECRET_UNREADABLE
 */
export async function givenSecret(
  source: SecretSource,
  env: NodeJS.ProcessEnv = process.env,
): Promise<GivenSecret | null> {
  const { file, fileFlag = '--from-file', what, variable } = source;
  if (file !== undefined)
    return { secret: readSecretFile(file, fileFlag, variable), source: `file:${fromRoot(file, env)}` };
  if (source.env !== undefined)
    return { secret: readVariable(source.env, what, env), source: `env:${source.env}` };
  if (source.stdin) return { secret: await readStdin(what), source: null };
  const value = env[variable];
  return value ? { secret: new Secret(value), source: `env:${variable}` } : null;
}

/** A path as `config import` reads it, wherever it is run: from the installation's root on if it is beneath it, otherwise absolute. */
function fromRoot(path: string, env: NodeJS.ProcessEnv): string {
  const inside = relative(env.KG_ROOT ?? process.cwd(), resolve(path));
  return inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside) ? resolve(path) : inside;
}

function readSecretFile(path: string, flag: string, variable: string): Secret {
  try {
    const bytes = readFileSync(path);
    if (bytes.length > MAX_BYTES) throw new Error(`${path} has ${bytes.length} bytes: that is no secret`);
    return new Secret(withoutNewline(bytes.toString('utf8')));
  } catch (error) {
    throw new OperatorError('SECRET_UNREADABLE', `${flag}: ${messageOf(error)}`, {
      exitCode: EXIT.usage,
      hint: `the operator sees only files beneath the installation; of others give the content: ${flag === '--from-file' ? '--from-stdin < FILE' : `${variable}="$(cat FILE)"`}`,
      cause: error,
    });
  }
}

function readVariable(name: string, what: string, env: NodeJS.ProcessEnv): Secret {
  // Whoever gives the secret itself instead of a variable's name must not see it again in the message.
  const isName = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name);
  const value = isName ? env[name] : undefined;
  if (value) return new Secret(value);
  throw new OperatorError(
    'SECRET_UNREADABLE',
    isName ? `--from-env: ${name} is not set` : '--from-env wants the name of a variable',
    { exitCode: EXIT.usage, hint: `export the variable that holds the ${what}, and give its name` },
  );
}

async function readStdin(what: string): Promise<Secret> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  const text = withoutNewline(Buffer.concat(chunks).toString('utf8'));
  if (text !== '') return new Secret(text);
  throw new OperatorError('SECRET_UNREADABLE', `standard input held no ${what}`, {
    exitCode: EXIT.usage,
    hint: `pipe it in, like printf %s "$SECRET" | …`,
  });
}

function withoutNewline(text: string): string {
  return text.replace(/\r?\n$/, '');
}

/** Exit 2: something must be said that nobody is there to be asked for. */
export function mustBeGiven({ what, variable }: SecretSource): OperatorError {
  return new OperatorError('INPUT_MISSING', `no ${what} given, and there is no terminal to ask on`, {
    exitCode: EXIT.usage,
    hint: `give it by --from-file FILE, --from-env NAME or --from-stdin, or set ${variable}`,
  });
}
