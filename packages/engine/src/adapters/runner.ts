import { setTimeout as sleep } from 'node:timers/promises';
import Docker from 'dockerode';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { NOT_OF_COMPOSE } from './docker.ts';

/** The container in which an upgrade or rollback runs: it outlives the terminal, the operator container and, by a hand-over, the engine. */
export interface Runner {
  /** The image that this process runs in, if it is a runner's. */
  readonly image: string | null;
  /** Id of the image of the container that this process is in. @throws OperatorError NOT_IN_OPERATOR */
  ownImage(): Promise<string>;
  /**
   * Starts a runner from an image that is here, to go on with a run; `environment` comes on top of this process's own.
   * @throws OperatorError LOCKED where there is one already, RUNNER_NOT_STARTED
   */
  start(image: string, run: string, environment: Record<string, string>): Promise<void>;
  /** The run that a runner is at. */
  current(): Promise<{ run: string; since: string } | null>;
  /** Makes room for the runner that comes after this one; the function returned takes its place again. */
  stepAside(): Promise<() => Promise<void>>;
}

/** Says which run, and that it belongs to this project. */
const RUN_LABEL = 'kg-operator.run';
const PROJECT_LABEL = 'kg-operator.runner';

/** What a runner must know of where it is; nothing else of the environment, which could hold a secret, and `docker inspect` shows it. */
const PASSED =
  /^(KG_ROOT|KG_ACTOR|KG_RELEASES|KG_RELEASE_KEYS|KG_FAILPOINT|COMPOSE_(PROJECT_NAME|FILE|ENV_FILES)|GATEWAY_USER|POSTGRES_(HOST|PORT|USER|DB)|GARAGE_(ADMIN|S3)_URL|KG_GATEWAY_(API|WEB)_URL|(https?|no)_proxy|(HTTPS?|NO)_PROXY)$/;

const REMOVAL_MS = 15_000;

/** Runners of a project, made after the container that this process is in. */
export function dockerRunner(
  { project, hostname }: { project: string; hostname: string },
  env: NodeJS.ProcessEnv = process.env,
  docker = new Docker(),
): Runner {
  const name = `${project}-runner`;
  const named = () => docker.getContainer(name);

  /** Gone for good: a runner that has ended is removed by Docker itself, which takes a moment. */
  async function cleared(): Promise<void> {
    const deadline = Date.now() + REMOVAL_MS;
    for (;;) {
      const found = await stateOf(named());
      if (found === null) return;
      if (found.running) throw alreadyRunning(name);
      await named()
        .remove({ force: true, v: true })
        .catch(() => undefined); // "removal in progress": looked at again
      if (Date.now() > deadline) throw notStarted(`container ${name} can't be removed`);
      await sleep(100);
    }
  }

  return {
    image: env.KG_RUNNER_IMAGE ?? null,

    async ownImage() {
      try {
        return (await docker.getContainer(hostname).inspect()).Image;
      } catch (error) {
        throw new OperatorError(
          'NOT_IN_OPERATOR',
          `not in a container that Docker knows: ${messageOf(error)}`,
          {
            exitCode: EXIT.precondition,
            hint: 'use ./operator.sh upgrade',
            cause: error,
          },
        );
      }
    },

    async start(image, run, environment) {
      await cleared();
      const self = await docker.getContainer(hostname).inspect();
      const [network, ...others] = Object.keys(self.NetworkSettings.Networks);
      const { HostConfig } = self;
      const own = Object.entries({ ...env, ...environment }).filter(([key]) => PASSED.test(key));
      try {
        const container = await docker.createContainer({
          name,
          Image: image,
          Cmd: ['kg-operator', 'runner', run],
          WorkingDir: env.KG_ROOT ?? '/',
          Env: [...own.map(([key, value]) => `${key}=${value}`), `KG_RUNNER_IMAGE=${image}`],
          Labels: { [RUN_LABEL]: run, [PROJECT_LABEL]: project, ...NOT_OF_COMPOSE },
          StopTimeout: 30,
          HostConfig: {
            AutoRemove: true,
            NetworkMode: network ?? 'default',
            Binds: HostConfig.Binds ?? [],
            Mounts: HostConfig.Mounts ?? [],
            Tmpfs: HostConfig.Tmpfs ?? {},
            ExtraHosts: HostConfig.ExtraHosts ?? [],
            CapDrop: HostConfig.CapDrop ?? [],
            CapAdd: HostConfig.CapAdd ?? [],
            SecurityOpt: HostConfig.SecurityOpt ?? [],
            ReadonlyRootfs: HostConfig.ReadonlyRootfs ?? true,
            Memory: HostConfig.Memory ?? 0,
            PidsLimit: HostConfig.PidsLimit ?? 0,
            LogConfig: HostConfig.LogConfig,
          },
        });
        for (const other of others) await docker.getNetwork(other).connect({ Container: container.id });
        await container.start();
      } catch (error) {
        if ((error as { statusCode?: number }).statusCode === 409) throw alreadyRunning(name);
        await named()
          .remove({ force: true, v: true })
          .catch(() => undefined); // it may never have been made
        throw notStarted(messageOf(error), error);
      }
    },

    async current() {
      const found = await stateOf(named());
      return found?.running && found.run ? { run: found.run, since: found.since } : null;
    },

    async stepAside() {
      const own = docker.getContainer(hostname);
      await own.rename({ name: `${name}-before` });
      return async () => {
        const deadline = Date.now() + REMOVAL_MS;
        for (;;) {
          await named()
            .remove({ force: true, v: true })
            .catch(() => undefined); // the next one may have ended and be gone
          try {
            return await own.rename({ name });
          } catch (error) {
            // Docker gives a name free only some time after it began to remove its container.
            if (Date.now() > deadline) throw notStarted(`the name ${name} is taken`, error);
          }
          await sleep(100);
        }
      };
    },
  };
}

async function stateOf(
  container: Docker.Container,
): Promise<{ running: boolean; run: string | undefined; since: string } | null> {
  try {
    const { State, Config } = await container.inspect();
    return { running: State.Running, run: Config.Labels[RUN_LABEL], since: State.StartedAt };
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return null;
    throw new OperatorError('DOCKER_UNREACHABLE', `Docker does not answer: ${messageOf(error)}`, {
      exitCode: EXIT.docker,
      hint: 'start Docker, then the same command again',
      cause: error,
    });
  }
}

function alreadyRunning(name: string): OperatorError {
  return new OperatorError('LOCKED', `an upgrade or rollback is running, in container ${name}`, {
    exitCode: EXIT.locked,
    hint: './operator.sh upgrade --attach follows it',
  });
}

function notStarted(why: string, cause?: unknown): OperatorError {
  return new OperatorError('RUNNER_NOT_STARTED', `the container that runs it can't be started: ${why}`, {
    exitCode: EXIT.docker,
    hint: 'nothing was changed by it; see docker info, then the same command again',
    cause,
  });
}
