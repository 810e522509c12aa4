import { existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
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
  /**
   * What the platform runs on, chosen here and nowhere else. `containers`: operator.sh and compose say where everything is. `postgres`: a
   * PostgreSQL of the user's. `embedded`: one in this process, in the data directory.
   */
  mode: 'containers' | 'postgres' | 'embedded';
  root: string;
  /** What the two modes without containers keep: the embedded database, documents as files, secrets. Absolute. */
  dataDirectory: string;
  stateDirectory: string;
  project: string;
  garageAdminUrl: string;
  garageS3Url: string;
  /** The gateway from inside the network, and as a person sees it. */
  gateway: { api: string; web: string };
  publicUrl: { api: string; web: string };
  /** What the gateway shows certificates for, and where they come from; null: it speaks plain HTTP. */
  tls: { mode: TlsMode; host: string } | null;
}

export const TLS_MODES = ['internal', 'acme', 'files'] as const;
export type TlsMode = (typeof TLS_MODES)[number];

/**
 * Reads the settings: where services are from the environment, what a person chose from `.operator.conf` at the root.
 * @throws OperatorError ENV_FILE_INVALID
 */
export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const root = env.KG_ROOT ?? process.cwd();
  const mode = chooseMode(root, env);
  const dataDirectory = resolve(root, env.KG_DATA || '.kg');
  // Read here rather than passed in by compose: a value in the container's environment would outlive an edit of the file.
  const conf = readEnvFile(join(root, '.operator.conf'));
  const tls = tlsOf(conf);
  const scheme = tls ? 'https' : 'http';
  const host = tls?.host ?? hostOf(conf.get('BIND_ADDRESS'));
  const publicUrl = (port: string) => `${scheme}://${host}${tls && port === '443' ? '' : `:${port}`}`;
  return {
    mode,
    root,
    dataDirectory,
    stateDirectory: mode === 'containers' ? join(root, '.operator') : dataDirectory,
    project: env.COMPOSE_PROJECT_NAME ?? 'kg',
    garageAdminUrl: env.GARAGE_ADMIN_URL ?? 'http://garage:3903',
    garageS3Url: env.GARAGE_S3_URL ?? 'http://garage:3900',
    gateway: {
      api: env.KG_GATEWAY_API_URL ?? `${scheme}://gateway:8000`,
      web: env.KG_GATEWAY_WEB_URL ?? `${scheme}://gateway:3000`,
    },
    publicUrl: {
      api: publicUrl(conf.get('API_PORT') ?? '8000'),
      web: publicUrl(conf.get('WEB_PORT') ?? '3000'),
    },
    tls,
  };
}

/** Variables that say where a PostgreSQL is; any of them in the environment, or in `.env`, chooses it. */
const POSTGRES_VARIABLES = ['DATABASE_URL', 'POSTGRES_HOST', 'POSTGRES_PASSWORD', 'POSTGRES_PASSWORD_FILE'];

function chooseMode(root: string, env: NodeJS.ProcessEnv): Settings['mode'] {
  if (env.KG_ROOT) return 'containers';
  if (POSTGRES_VARIABLES.some((name) => env[name])) return 'postgres';
  if (env.KG_DATA) return 'embedded';
  // A password alone is what operator.sh writes there for its containers, which can't be reached from here.
  const file = readEnvFile(join(root, '.env'));
  return file.has('DATABASE_URL') || file.has('POSTGRES_HOST') ? 'postgres' : 'embedded';
}

/** operator.sh has judged these settings; one that it would refuse counts as off. */
function tlsOf(conf: Map<string, string>): Settings['tls'] {
  const mode = TLS_MODES.find((one) => one === conf.get('TLS_MODE'));
  const host = conf.get('PUBLIC_HOST');
  return mode && host ? { mode, host } : null;
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
  const files = secretFiles(settings);
  for (const file of files) {
    const value = readEnvFile(file).get(name);
    if (value) return new Secret(value);
  }
  throw new OperatorError(
    'SECRET_MISSING',
    `${name} is neither in the environment nor in ${files.join(' or ')}`,
    {
      exitCode: EXIT.precondition,
      hint: 'run ./operator.sh init on a new installation; on an existing one restore its .env',
    },
  );
}

/** Where secrets are read from, first one first. A `.env` beside an embedded database belongs to something else. */
function secretFiles({ mode, root, dataDirectory }: Settings): string[] {
  const own = join(dataDirectory, '.env');
  return { containers: [join(root, '.env')], postgres: [join(root, '.env'), own], embedded: [own] }[mode];
}

/** Id of the encryption key given, or null when there is none. */
export function encryptionKeyId(settings: Settings): string | null {
  const key = encryptionKeyIfAny(settings);
  return key && keyIdOf(key);
}

/** The encryption key given, or null when there is none. */
export function encryptionKeyIfAny(settings: Settings): Secret | null {
  try {
    return infrastructureSecret(settings, 'ENCRYPTION_KEY');
  } catch (error) {
    if (error instanceof OperatorError && error.code === 'SECRET_MISSING') return null;
    throw error;
  }
}

/** The address and password of a PostgreSQL. @throws OperatorError SECRET_MISSING, DatabaseUrlInvalid */
export function databaseSettings(
  settings: Settings,
  env: NodeJS.ProcessEnv = process.env,
): ConnectionSettings {
  const file =
    settings.mode === 'postgres' ? readEnvFile(join(settings.root, '.env')) : new Map<string, string>();
  const all = { ...Object.fromEntries(file), ...env };
  const url = all.DATABASE_URL ?? '';
  const needsPassword = url === '' || (URL.canParse(url) && new URL(url).password === '');
  if (!needsPassword) return connectionSettings(all);
  const password = infrastructureSecret(settings, 'POSTGRES_PASSWORD', env);
  return connectionSettings({ ...all, POSTGRES_PASSWORD: password.reveal() });
}

/** The values of a settings file; none when there is no file. @throws OperatorError ENV_FILE_INVALID, ENV_FILE_UNREADABLE */
export function readEnvFile(path: string): Map<string, string> {
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
