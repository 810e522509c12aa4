import { buffer } from 'node:stream/consumers';
import { stripVTControlCharacters } from 'node:util';
import Docker from 'dockerode';
import { type Disk, parseDf } from '../model/disk.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import type { ContainerObservation } from '../model/observation.ts';

/** What the engine asks of Docker itself; everything that compose does goes through adapters/compose.ts. */
export interface ContainerRuntime {
  /** Every container of a compose project, running or not. @throws OperatorError DOCKER_UNREACHABLE */
  listContainers(project: string): Promise<ContainerObservation[]>;
  /** The disk that a path inside a running container is on, by its own `df`; null where that gives no answer. */
  diskIn(container: string, path: string): Promise<Disk | null>;
  /** Names of the volumes that a container uses. */
  volumesOf(container: string): Promise<string[]>;
  /** Null: there is no such container any more. */
  inspectContainer(id: string): Promise<ContainerDetails | null>;
  startContainer(id: string): Promise<void>;
  /** SIGTERM, and SIGKILL when its own grace period (compose's `stop_grace_period`) is over. One that is gone or stopped stays so. */
  stopContainer(id: string): Promise<void>;
  /** With whatever still runs in it. One that is gone stays so. */
  removeContainer(id: string): Promise<void>;
  /** Under which names others on a network find a container, beside its own name; connects it again, which ends its connections there. */
  renameOnNetwork(id: string, network: string, aliases: string[]): Promise<void>;
  /** Removes the trial servers that a killed run has left: the caller holds the installation's lock. */
  removeScratch(project: string): Promise<void>;
  /** The newest lines that a container wrote, oldest first. */
  containerLog(id: string, lines: number): Promise<string[]>;
}

/** Of a container that lives as long as one trial; its value is the project. */
export const SCRATCH_LABEL = 'kg-operator.scratch';
/** An image that Compose has built names the project that built it, and a container would take that over. */
export const NOT_OF_COMPOSE = { 'com.docker.compose.project': '', 'com.docker.compose.service': '' };

export async function removeScratch(docker: Docker, project: string): Promise<void> {
  const filters = { label: [`${SCRATCH_LABEL}=${project}`] };
  const left = await docker.listContainers({ all: true, filters });
  for (const { Id } of left) await docker.getContainer(Id).remove({ force: true, v: true });
}

/** What only `docker inspect` says. */
export interface ContainerDetails {
  id: string;
  name: string;
  /** What it was created from, as it was said: a tag, a digest or an id. */
  reference: string;
  imageId: string;
  state: string;
  health: ContainerObservation['health'];
  /** How often Docker has started it again after it ended by itself. */
  restarts: number;
  startedAt: string;
  /** Its aliases on each network. */
  networks: Record<string, string[]>;
}

/** Docker over its socket (`DOCKER_HOST`, or the default one); dockerode negotiates nothing and sends no API version, so any engine answers. */
export function dockerRuntime(docker = new Docker()): ContainerRuntime {
  return {
    async listContainers(project) {
      try {
        const containers = await docker.listContainers({
          all: true,
          filters: { label: [`com.docker.compose.project=${project}`] },
        });
        return containers.map(toObservation).filter(({ service }) => service !== '');
      } catch (error) {
        throw new OperatorError('DOCKER_UNREACHABLE', `Docker does not answer: ${messageOf(error)}`, {
          exitCode: EXIT.docker,
          hint: 'start Docker, or point DOCKER_HOST at it',
          cause: error,
        });
      }
    },
    async volumesOf(container) {
      try {
        const { Mounts } = await docker.getContainer(container).inspect();
        return Mounts.flatMap(({ Type, Name }) => (Type === 'volume' && Name ? [Name] : [])).sort();
      } catch (error) {
        throw refused('look at', container, error);
      }
    },
    removeScratch: (project) => removeScratch(docker, project),
    async diskIn(container, path) {
      try {
        const exec = await docker
          .getContainer(container)
          .exec({ Cmd: ['df', '-kP', path], AttachStdout: true, AttachStderr: true });
        const output = await buffer(await exec.start({}));
        return parseDf(output.toString('latin1'));
      } catch {
        return null; // only an estimate is lost: a disk that is full is noticed where it is written to
      }
    },
    ...containerActions(docker),
  };
}

type Actions = Omit<ContainerRuntime, 'listContainers' | 'diskIn' | 'volumesOf' | 'removeScratch'>;

function containerActions(docker: Docker): Actions {
  return {
    async inspectContainer(id) {
      try {
        return toDetails(await docker.getContainer(id).inspect());
      } catch (error) {
        if (statusOf(error) === 404) return null;
        throw refused('look at', id, error);
      }
    },
    startContainer: (id) => tolerating('start', id, [304], () => docker.getContainer(id).start()),
    stopContainer: (id) => tolerating('stop', id, [304, 404], () => docker.getContainer(id).stop()),
    // 409: somebody is removing it already.
    removeContainer: (id) =>
      tolerating('remove', id, [404, 409], () => docker.getContainer(id).remove({ force: true })),
    async renameOnNetwork(id, network, aliases) {
      const at = docker.getNetwork(network);
      // 403 and 404: it is not connected, for example because a try before was cut off here.
      await tolerating('disconnect', id, [403, 404], () => at.disconnect({ Container: id, Force: false }));
      await tolerating('connect', id, [], () =>
        at.connect({ Container: id, EndpointConfig: { Aliases: aliases } }),
      );
    },
    async containerLog(id, lines) {
      const options = { stdout: true, stderr: true, tail: lines, follow: false } as const;
      const raw = await docker.getContainer(id).logs(options);
      return logLines(raw);
    },
  };
}

async function tolerating(
  action: string,
  id: string,
  statuses: number[],
  act: () => Promise<unknown>,
): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!statuses.includes(statusOf(error) ?? 0)) throw refused(action, id, error);
  }
}

function statusOf(error: unknown): number | undefined {
  return (error as { statusCode?: number }).statusCode;
}

function refused(action: string, id: string, cause: unknown): OperatorError {
  return new OperatorError(
    'DOCKER_FAILED',
    `Docker could not ${action} container ${id.slice(0, 12)}: ${messageOf(cause)}`,
    { exitCode: EXIT.docker, hint: 'run the same command again to go on', cause },
  );
}

function toDetails(info: Docker.ContainerInspectInfo): ContainerDetails {
  const networks = Object.entries(info.NetworkSettings.Networks);
  return {
    id: info.Id,
    name: info.Name.replace(/^\//, ''),
    reference: info.Config.Image,
    imageId: info.Image,
    state: info.State.Status,
    health: (info.State.Health?.Status ?? 'none') as ContainerDetails['health'],
    restarts: info.RestartCount,
    startedAt: info.State.StartedAt,
    networks: Object.fromEntries(networks.map(([name, { Aliases }]) => [name, Aliases ?? []])),
  };
}

/**
 * Without a terminal Docker puts eight bytes before each piece of a log: the stream, three zeros, and the length, big-endian
 * (https://docs.docker.com/reference/api/engine/version/v1.44/#tag/Container/operation/ContainerAttach).
 */
export function logLines(raw: Buffer): string[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at + 8 <= raw.length; ) {
    const end = at + 8 + raw.readUInt32BE(at + 4);
    pieces.push(raw.subarray(at + 8, end));
    at = end;
  }
  return Buffer.concat(pieces).toString('utf8').split('\n').map(stripVTControlCharacters).filter(Boolean);
}

function toObservation(info: Docker.ContainerInfo): ContainerObservation {
  const labels = info.Labels;
  return {
    id: info.Id,
    service:
      labels['com.docker.compose.oneoff'] === 'True' ? '' : (labels['com.docker.compose.service'] ?? ''),
    state: info.State,
    health: healthOf(info.Status),
    status: info.Status,
    image: info.Image,
    imageId: info.ImageID,
    version: labels['org.opencontainers.image.version'] ?? null,
  };
}

/** The list call has no health field before API 1.52; its status sentence ends with it: `Up 2 hours (healthy)`, `Up 2 seconds (health: starting)`. */
export function healthOf(status: string): ContainerObservation['health'] {
  if (status.endsWith('(healthy)')) return 'healthy';
  if (status.endsWith('(unhealthy)')) return 'unhealthy';
  if (status.endsWith('(health: starting)')) return 'starting';
  return 'none';
}
