import { execFile } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type DeclaredService, LAYERS, type Layer } from '../model/observation.ts';

/** `docker compose` under the project, files and settings that operator.sh resolved into COMPOSE_* variables. */
export interface Compose {
  /** The services that the compose files declare, in their order. */
  declaredServices(): Promise<DeclaredService[]>;
  up(services: string[]): Promise<void>;
  stop(services: string[]): Promise<void>;
  /** The newest lines that a service wrote, oldest first. */
  lastLogLines(service: string, lines: number): Promise<string[]>;
}

/** Builders of argv, without the leading `docker`. */
export const composeArgv = {
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
export function dockerCompose(): Compose {
  return {
    declaredServices: async () => parseDeclaredServices(await docker(composeArgv.config())),
    up: async (services) => void (await docker(composeArgv.up(services))),
    stop: async (services) => void (await docker(composeArgv.stop(services))),
    lastLogLines: async (service, lines) =>
      (await docker(composeArgv.logs(service, lines)))
        .split('\n')
        .map(stripVTControlCharacters)
        .filter(Boolean),
  };
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
    return { name, layer, update, oneShot: restart === 'no' };
  });
}

// Compose prints one line per event; this holds far more than any run of it.
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
const KEPT_ERROR_LINES = 12;

function docker(argv: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('docker', argv, { maxBuffer: MAX_OUTPUT_BYTES }, (error, stdout, stderr) => {
      if (!error) return resolve(stdout);
      const lines = stderr.trim().split('\n').slice(-KEPT_ERROR_LINES);
      reject(
        new OperatorError(
          'COMPOSE_FAILED',
          `docker ${argv.join(' ')} failed: ${lines.at(-1) || error.message}`,
          {
            exitCode: EXIT.docker,
            details: lines.slice(0, -1),
            hint: composeHint(stderr),
            cause: error,
          },
        ),
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
