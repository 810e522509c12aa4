import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { stripVTControlCharacters } from 'node:util';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type DeclaredService, LAYERS, type Layer } from '../model/observation.ts';
import { PINS } from '../upgrade/pins.ts';

/** `docker compose` under the project, files and settings that operator.sh resolved into COMPOSE_* variables. */
export interface Compose {
  /** Such as `2.24.4`. */
  version(): Promise<string>;
  /** The services that the compose files declare, in their order. */
  declaredServices(): Promise<DeclaredService[]>;
  up(services: string[]): Promise<void>;
  stop(services: string[]): Promise<void>;
  /** Creates containers of a service beside those it has, until it has this many; starts none, and leaves those that are there as they are. */
  createCopies(service: string, copies: number): Promise<void>;
  /** Runs a program in a service's container and returns what it printed. @throws OperatorError COMPOSE_FAILED */
  exec(service: string, argv: string[]): Promise<string>;
  /** The newest lines that a service wrote, oldest first. */
  lastLogLines(service: string, lines: number): Promise<string[]>;
}

/** Builders of argv, without the leading `docker`. */
export const composeArgv = {
  version: () => ['compose', 'version', '--short'],
  // Not interpolated: the answer would hold every secret of .env.
  config: () => ['compose', 'config', '--no-interpolate', '--format', 'json'],
  // Images are built or pulled by the shim on the host, where build contexts and registry credentials are.
  up: (services: string[]) => [
    'compose',
    '--progress',
    'plain',
    'up',
    '--detach',
    '--no-deps',
    '--no-build',
    ...services,
  ],
  stop: (services: string[]) => ['compose', '--progress', 'plain', 'stop', ...services],
  createCopies: (service: string, copies: number) => [
    'compose',
    '--progress',
    'plain',
    'up',
    '--no-start',
    '--no-deps',
    '--no-build',
    '--pull',
    'never',
    '--no-recreate',
    '--scale',
    `${service}=${copies}`,
    service,
  ],
  exec: (service: string, argv: string[]) => ['compose', 'exec', '--no-TTY', service, ...argv],
  logs: (service: string, lines: number) => [
    'compose',
    'logs',
    '--no-log-prefix',
    '--no-color',
    '--tail',
    String(lines),
    service,
  ],
};

/** Compose through the docker CLI. */
export function dockerCompose(stateDirectory: string): Compose {
  const compose = (argv: string[]) => docker(argv, withPins(stateDirectory));
  return {
    version: async () => (await docker(composeArgv.version(), process.env)).trim().replace(/^v/, ''),
    declaredServices: async () => parseDeclaredServices(await compose(composeArgv.config())),
    up: async (services) => void (await compose(composeArgv.up(services))),
    stop: async (services) => void (await compose(composeArgv.stop(services))),
    createCopies: async (service, copies) => void (await compose(composeArgv.createCopies(service, copies))),
    exec: (service, argv) => compose(composeArgv.exec(service, argv)),
    lastLogLines: async (service, lines) =>
      (await compose(composeArgv.logs(service, lines)))
        .split('\n')
        .map(stripVTControlCharacters)
        .filter(Boolean),
  };
}

/** operator.sh names the pins as an env file; when it was called, there may have been none yet. */
function withPins(stateDirectory: string, env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const pins = join(stateDirectory, PINS);
  const files = env.COMPOSE_ENV_FILES?.split(',') ?? [];
  if (files.includes(pins) || !existsSync(pins)) return env;
  return { ...env, COMPOSE_ENV_FILES: [...files, pins].join(',') };
}

interface ComposeConfig {
  services: Record<string, { labels?: Record<string, string>; restart?: string }>;
}

/**
 * Reads the services out of `docker compose config --format json`.
 * @throws OperatorError COMPOSE_INVALID when a service does not say its layer.
 */
export function parseDeclaredServices(json: string): DeclaredService[] {
  const { services } = JSON.parse(json) as ComposeConfig;
  return Object.entries(services).map(([name, { labels = {}, restart }]) => {
    const layer = labels['kg-operator.layer'] as Layer;
    const update = labels['kg-operator.update'];
    if (!LAYERS.includes(layer) || (update !== 'managed' && update !== 'pinned')) {
      throw new OperatorError(
        'COMPOSE_INVALID',
        `service ${name} lacks a label kg-operator.layer (${LAYERS.join(', ')}) or kg-operator.update (managed, pinned)`,
        {
          exitCode: EXIT.precondition,
          hint: 'add both labels to the service in the compose file, or in docker-compose.override.yml',
        },
      );
    }
    return {
      name,
      layer,
      update,
      oneShot: restart === 'no',
      optional: labels['kg-operator.optional'] === 'true',
    };
  });
}

const KEPT_ERROR_LINES = 12;

/** Runs docker and returns its stdout. @throws OperatorError DOCKER_MISSING, COMPOSE_FAILED with the end of its stderr */
async function docker(argv: string[], env: NodeJS.ProcessEnv): Promise<string> {
  // A process group of its own: Ctrl-C goes to the engine, which lets the running step finish.
  const child = spawn('docker', argv, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exitOf(child)]);
  if (code === 0) return stdout;
  const lines = stderr.trim().split('\n').slice(-KEPT_ERROR_LINES);
  throw new OperatorError(
    'COMPOSE_FAILED',
    `docker ${argv.join(' ')} failed: ${lines.at(-1) || `exit ${code}`}`,
    {
      exitCode: EXIT.docker,
      details: lines.slice(0, -1),
      hint: composeHint(stderr),
    },
  );
}

function exitOf(child: ChildProcess): Promise<number | NodeJS.Signals | null> {
  return new Promise((resolve, reject) => {
    child.once('close', (code, signal) => resolve(code ?? signal));
    child.once('error', (cause) => {
      const hint = 'install the docker command, or use ./operator.sh, whose operator has it';
      reject(
        new OperatorError('DOCKER_MISSING', `docker can't be run: ${cause.message}`, {
          exitCode: EXIT.docker,
          hint,
          cause,
        }),
      );
    });
  });
}

function composeHint(stderr: string): string {
  if (/No such image|pull access denied|not found: manifest/i.test(stderr))
    return './operator.sh up builds or pulls the images';
  if (/port is already allocated|address already in use/i.test(stderr))
    return 'change API_PORT or WEB_PORT in .operator.conf, or stop what holds the port';
  return 'see ./operator.sh logs';
}
