import { EXIT, OperatorError } from '../model/errors.ts';
import type { Compose } from './compose.ts';
import type { ContainerRuntime } from './docker.ts';

/** The one service there is without containers: the process of `kg-operator dev`. */
const SERVICE = 'dev';

export interface RunningProcess {
  pid: number;
  ready: boolean;
  version: string | null;
}

/** `kg-operator dev` seen as what `status` knows: one service of the application layer, with a container if it runs. */
export function hostRuntime(find: () => Promise<RunningProcess | null>): ContainerRuntime {
  return {
    volumesOf: async () => [],
    removeScratch: async () => undefined,
    async listContainers() {
      const found = await find();
      if (!found) return [];
      const { pid, ready, version } = found;
      return [
        {
          id: String(pid),
          service: SERVICE,
          state: 'running',
          health: ready ? 'healthy' : 'unhealthy',
          status: `process ${pid}`,
          image: '',
          imageId: '',
          version,
        },
      ];
    },
    diskIn: async () => null,
    inspectContainer: refuse,
    startContainer: refuse,
    stopContainer: refuse,
    removeContainer: refuse,
    renameOnNetwork: refuse,
    containerLog: refuse,
  };
}

/** Compose where there is none: it declares the one service, and starts and stops nothing. */
export function noCompose(): Compose {
  return {
    version: refuse,
    declaredServices: async () => [
      { name: SERVICE, layer: 'application', update: 'managed', oneShot: false, optional: false },
    ],
    up: refuse,
    stop: refuse,
    createCopies: refuse,
    exec: refuse,
    lastLogLines: async () => [],
  };
}

async function refuse(): Promise<never> {
  throw needsContainers('this');
}

/** Why a command does nothing without containers, and what to use instead. */
export function needsContainers(command: string): OperatorError {
  return new OperatorError(
    'NEEDS_CONTAINERS',
    `${command} is for an installation in Docker, through ./operator.sh`,
    {
      exitCode: EXIT.precondition,
      hint: 'without Docker the platform is one process: kg-operator dev, and Ctrl-C',
    },
  );
}
