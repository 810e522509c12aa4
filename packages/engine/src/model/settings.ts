import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  type ConnectionSettings,
  connectionSettings,
  keyIdOf,
  readSecret,
  Secret,
} from '@kg-operator/config';
import { parseEnvFile } from './env-file.ts';
import { EXIT, messageOf, OperatorError } from './errors.ts';

/** Where this installation is and how its services are reached; from the environment that operator.sh and compose set. */
export interface Settings {
  root: string;
  stateDirectory: string;
  project: string;
  garageAdminUrl: string;
  garageS3Url: string;
  /** The gateway from inside the network, and as a person sees it. */
  gateway: { api: string; web: string };
  publicUrl: { api: string; web: string };
}

/**
 * Reads the settings: where services are from the environment, what a person chose from `.operator.conf` at the root.
 * @throws OperatorError ENV_FILE_INVALID
 */
export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const root = env.KG_ROOT ?? process.cwd();
  // Read here rather than passed in by compose: a value in the container's environment would outlive an edit of the file.
  const conf = readEnvFile(join(root, '.operator.conf'));
  const host = hostOf(conf.get('BIND_ADDRESS'));
  return {
    root,
    stateDirectory: join(root, '.operator'),
    project: env.COMPOSE_PROJECT_NAME ?? 'kg',
    garageAdminUrl: env.GARAGE_ADMIN_URL ?? 'http://garage:3903',
    garageS3Url: env.GARAGE_S3_URL ?? 'http://garage:3900',
    gateway: {
      api: env.KG_GATEWAY_API_URL ?? 'http://gateway:8000',
      web: env.KG_GATEWAY_WEB_URL ?? 'http://gateway:3000',
    },
    publicUrl: {
      api: `http://${host}:${conf.get('API_PORT') ?? '8000'}`,
      web: `http://${host}:${conf.get('WEB_PORT') ?? '3000'}`,
    },
  };
}

/** The name under which a person on this host reaches a bound address. */
function hostOf(bindAddress = '127.0.0.1'): string {
  return bindAddress === '127.0.0.1' || bindAddress === '0.0.0.0' ? 'localhost' : bindAddress;
}

/**
 * A secret of layer 1: from the environment (`NAME` or `NAME_FILE`), otherwise from `.env` at the root.
 * @throws OperatorError SECRET_MISSING, ENV_FILE_INVALID
 */
export function infrastructureSecret(
  settings: Settings,
  name: string,
  env: NodeJS.ProcessEnv = process.env,
): Secret {
  if (env[name] || env[`${name}_FILE`]) return readSecret(name, env);
  const value = readEnvFile(join(settings.root, '.env')).get(name);
  if (value) return new Secret(value);
  throw new OperatorError(
    'SECRET_MISSING',
    `${name} is neither in the environment nor in ${join(settings.root, '.env')}`,
    {
      exitCode: EXIT.precondition,
      hint: 'run ./operator.sh init on a new installation; on an existing one restore its .env',
    },
  );
}

/** Id of the encryption key in force, or null when there is none. */
export function encryptionKeyId(settings: Settings): string | null {
  try {
    return keyIdOf(infrastructureSecret(settings, 'ENCRYPTION_KEY'));
  } catch (error) {
    if (error instanceof OperatorError && error.code === 'SECRET_MISSING') return null;
    throw error;
  }
}

/** The database's address and password. @throws OperatorError SECRET_MISSING */
export function databaseSettings(
  settings: Settings,
  env: NodeJS.ProcessEnv = process.env,
): ConnectionSettings {
  const password = infrastructureSecret(settings, 'POSTGRES_PASSWORD', env);
  return connectionSettings({ ...env, POSTGRES_PASSWORD: password.reveal() });
}

function readEnvFile(path: string): Map<string, string> {
  if (!existsSync(path)) return new Map();
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new OperatorError('ENV_FILE_UNREADABLE', messageOf(error), {
      exitCode: EXIT.precondition,
      cause: error,
    });
  }
  const { values, problems } = parseEnvFile(text);
  if (problems.length > 0) {
    throw new OperatorError('ENV_FILE_INVALID', `${path} is not a valid settings file`, {
      exitCode: EXIT.precondition,
      details: problems.map(({ line, message }) => `${basename(path)}:${line}: ${message}`),
      hint: 'correct these lines',
    });
  }
  return values;
}
