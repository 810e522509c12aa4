import { buffer } from 'node:stream/consumers';
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
  /** Names of the volumes that a container uses. @throws OperatorError DOCKER_UNREACHABLE */
  volumesOf(container: string): Promise<string[]>;
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
        throw unreachable(error);
      }
    },
    async volumesOf(container) {
      try {
        const { Mounts } = await docker.getContainer(container).inspect();
        return Mounts.flatMap(({ Type, Name }) => (Type === 'volume' && Name ? [Name] : [])).sort();
      } catch (error) {
        throw unreachable(error);
      }
    },
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
  };
}

function unreachable(cause: unknown): OperatorError {
  return new OperatorError('DOCKER_UNREACHABLE', `Docker does not answer: ${messageOf(cause)}`, {
    exitCode: EXIT.docker,
    hint: 'start Docker, or point DOCKER_HOST at it',
    cause,
  });
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
