import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionSettings, Secret } from '@kg-operator/config';
import Docker from 'dockerode';
import pg from 'pg';
import tar from 'tar-stream';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { NOT_OF_COMPOSE, removeScratch, SCRATCH_LABEL } from './docker.ts';

const READY_SECONDS = 90;

export interface ScratchOptions {
  project: string;
  /** Image of the PostgreSQL that runs: the same by its digest. */
  image: string;
  /** A network that this process is on; the server is reached by its container's name there. */
  network: string;
  signal: AbortSignal;
}

/**
 * Runs a PostgreSQL with an empty database in a container of its own, for as long as `use` takes, and removes it with all it holds. Those
 * that a killed run left behind are removed first: the caller holds the installation's lock.
 * @throws OperatorError SCRATCH_FAILED and what `use` throws
 */
export async function withScratchPostgres<T>(
  options: ScratchOptions,
  use: (connection: ConnectionSettings) => Promise<T>,
  docker = new Docker(),
): Promise<T> {
  await removeScratch(docker, options.project);
  const password = new Secret(randomBytes(24).toString('hex'));
  const name = `${options.project}-scratch-${randomBytes(4).toString('hex')}`;
  let container: Docker.Container | undefined;
  let isReady = false;
  try {
    container = await docker.createContainer({
      name,
      Image: options.image,
      Labels: { [SCRATCH_LABEL]: options.project, ...NOT_OF_COMPOSE },
      // A file, put inside below: `docker inspect` shows the environment to everyone who may ask.
      Env: ['POSTGRES_USER=kg', 'POSTGRES_DB=kg', 'POSTGRES_PASSWORD_FILE=/tmp/scratch-password'],
      HostConfig: {
        NetworkMode: options.network,
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges:true'],
        ShmSize: 256 << 20,
        Memory: 2 * 2 ** 30,
        Mounts: [{ Type: 'volume', Source: '', Target: '/var/lib/postgresql' }],
      },
    });
    await container.putArchive(passwordArchive(password), { path: '/tmp' });
    await container.start();
    const connection = { host: name, port: 5432, user: 'kg', database: 'kg', password };
    await ready(container, connection, options.signal);
    isReady = true;
    return await use(connection);
  } catch (error) {
    if (isReady && (await isRunning(container))) throw error;
    options.signal.throwIfAborted(); // a wait that was ended has another error than the reason
    throw new OperatorError('SCRATCH_FAILED', `the trial PostgreSQL failed: ${messageOf(error)}`, {
      exitCode: EXIT.docker,
      hint: 'docker info shows whether Docker has space and memory left; then try again',
      cause: error,
    });
  } finally {
    await container?.remove({ force: true, v: true });
  }
}

async function isRunning(container: Docker.Container | undefined): Promise<boolean> {
  try {
    return (await container?.inspect())?.State.Running ?? false;
  } catch {
    return false; // Docker does not know it any more, or is gone itself
  }
}

function passwordArchive(password: Secret): NodeJS.ReadableStream {
  const pack = tar.pack();
  // uid 999 is `postgres` in the image.
  pack.entry({ name: 'scratch-password', mode: 0o400, uid: 999, gid: 999 }, password.reveal());
  pack.finalize();
  return pack as unknown as NodeJS.ReadableStream;
}

async function ready(container: Docker.Container, connection: ConnectionSettings, signal: AbortSignal) {
  const deadline = Date.now() + READY_SECONDS * 1000;
  for (;;) {
    const client = new pg.Client({ ...connection, password: connection.password.reveal() });
    client.on('error', () => undefined); // the query under way fails
    try {
      await client.connect();
      await client.query('SELECT 1');
      // Nothing here has to survive a crash; it is a third faster without.
      await client.query('ALTER SYSTEM SET fsync = off');
      await client.query('SELECT pg_reload_conf()');
      return;
    } catch (error) {
      signal.throwIfAborted();
      const { State } = await container.inspect();
      if (!State.Running || Date.now() > deadline)
        throw new Error(`${State.Running ? 'not ready in time' : 'it ended'}: ${messageOf(error)}`);
    } finally {
      await client.end().catch(() => undefined); // it may never have been connected
    }
    await sleep(250, undefined, { signal });
  }
}
