import type { Readable } from 'node:stream';
import Docker from 'dockerode';
import { type Disk, diskOfFolder } from '../model/disk.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { interrupted } from '../run/wait.ts';
import { diskFull, dockerUnreachable, registryError, stalled } from './pull-errors.ts';
import { type PullEvent, pullProgress } from './pull-progress.ts';

/** An image that Docker has here. */
export interface LocalImage {
  /** `sha256:…`: of its configuration, or in containerd's image store of its manifest. */
  id: string;
  /** `NAME@sha256:…`, as it was pulled. */
  digests: string[];
  /** `NAME:TAG`. */
  tags: string[];
  bytes: number;
  /** Label `org.opencontainers.image.version`. */
  version: string | null;
}

/** How Docker keeps images: its own store, or containerd's, which is the default since Docker 29. They call the same image by different ids. */
export type ImageStoreKind = 'classic' | 'containerd';

export interface DockerEngine {
  /** Of its API, such as `1.45`. */
  apiVersion: string;
  /** Such as `linux/amd64`. */
  platform: string;
  store: ImageStoreKind;
  /** Of the host. */
  memoryBytes: number;
}

/** What the engine asks of Docker about images. All throw OperatorError DOCKER_UNREACHABLE. */
export interface ImageStore {
  engine(): Promise<DockerEngine>;
  /** The disk that images are kept on. */
  disk(): Promise<Disk>;
  /** By reference or id; null: it is not here. */
  find(reference: string): Promise<LocalImage | null>;
  list(): Promise<LocalImage[]>;
  /**
   * Returns when the registry says that it has the image; nothing is pulled.
   * @throws OperatorError IMAGE_NOT_FOUND, PULL_DENIED, REGISTRY_UNREACHABLE, PULL_FAILED
   */
  ask(reference: string, signal: AbortSignal): Promise<void>;
  /**
   * One try. Given up when nothing comes for a minute.
   * @throws OperatorError as ask, DIGEST_MISMATCH, DISK_FULL, INTERRUPTED
   */
  pull(reference: string, report: (line: string) => void, signal: AbortSignal): Promise<void>;
  /** What `docker load` does. @throws OperatorError DISK_FULL, LOAD_FAILED, INTERRUPTED, or what the stream throws */
  load(tar: Readable, report: (line: string) => void, signal: AbortSignal): Promise<void>;
  /** With all its names. False where a container uses it. */
  remove(id: string): Promise<boolean>;
}

const ASK_MS = 30_000;
const STALL_MS = 60_000;
const UNPACKING_STALL_MS = 10 * STALL_MS;

/** Docker over its socket (`DOCKER_HOST`, or the default one). */
export function dockerImages(docker = new Docker(), { stallMs = STALL_MS } = {}): ImageStore {
  const ask = async <T>(request: () => Promise<T>): Promise<T> => {
    try {
      return await request();
    } catch (error) {
      throw (error as { statusCode?: number }).statusCode === undefined ? dockerUnreachable(error) : error;
    }
  };
  const inspect = (reference: string) => ask(() => docker.getImage(reference).inspect()).catch(nullIfMissing);
  return {
    async engine() {
      const [version, info] = await ask(() => Promise.all([docker.version(), docker.info()]));
      const isContainerd = JSON.stringify(info.DriverStatus ?? []).includes('io.containerd.snapshotter');
      return {
        apiVersion: version.ApiVersion,
        platform: `${version.Os}/${version.Arch}`,
        store: isContainerd ? 'containerd' : 'classic',
        memoryBytes: info.MemTotal,
      };
    },
    // A container's own files are where images are: its root is a directory beside theirs.
    disk: () => diskOfFolder('/'),
    async find(reference) {
      const found = await inspect(reference);
      if (!found) return null;
      const { Id: id, RepoDigests: digests, RepoTags: tags, Size: bytes, Config } = found;
      return { id, digests: digests ?? [], tags: tags ?? [], bytes, version: versionIn(Config?.Labels) };
    },
    async list() {
      const images = await ask(() => docker.listImages());
      return images.map(({ Id: id, RepoDigests, RepoTags, Size: bytes, Labels }) => ({
        id,
        digests: (RepoDigests ?? []).filter(isName),
        tags: (RepoTags ?? []).filter(isName),
        bytes,
        version: versionIn(Labels),
      }));
    },
    async ask(reference, signal) {
      const timeout = AbortSignal.timeout(ASK_MS);
      try {
        const abortSignal = AbortSignal.any([signal, timeout]);
        await docker.getImage(reference).distribution({ abortSignal } as object);
      } catch (error) {
        if (signal.aborted) throw interrupted();
        throw timeout.aborted ? stalled(reference, ASK_MS / 1000) : registryError(reference, error);
      }
    },
    async pull(reference, report, signal) {
      const stall = new AbortController();
      const progress = pullProgress(report);
      let timer: NodeJS.Timeout | undefined;
      const wait = () => {
        clearTimeout(timer);
        timer = setTimeout(() => stall.abort(), progress.isUnpacking() ? UNPACKING_STALL_MS : stallMs);
      };
      const abortSignal = AbortSignal.any([signal, stall.signal]);
      try {
        wait();
        const events = await docker.pull(reference, { abortSignal });
        for await (const event of eventsOf(events, abortSignal)) {
          if (event.error !== undefined) throw new Error(event.error);
          progress.add(event);
          wait();
        }
      } catch (error) {
        if (signal.aborted) throw interrupted();
        throw stall.signal.aborted ? stalled(reference, stallMs / 1000) : registryError(reference, error);
      } finally {
        clearTimeout(timer);
      }
    },
    async load(tar, report, signal) {
      let broken: unknown;
      const own = new AbortController();
      const abortSignal = AbortSignal.any([signal, own.signal]);
      // Without it Docker would wait for the rest of a stream that has no more.
      tar.once('error', (error) => {
        broken = error;
        own.abort();
      });
      try {
        const events = await docker.loadImage(tar as unknown as string, { abortSignal } as object);
        for await (const { error, status } of eventsOf(events, abortSignal)) {
          if (error !== undefined) throw new Error(error);
          if (status?.startsWith('Loading layer')) report('unpacking');
        }
      } catch (error) {
        if (signal.aborted) throw interrupted();
        throw broken ?? loadError(error);
      } finally {
        tar.destroy();
      }
      if (broken) throw broken;
    },
    async remove(id) {
      const image = await this.find(id);
      if (!image) return true;
      const filters = { ancestor: [id] };
      if ((await ask(() => docker.listContainers({ all: true, filters }))).length > 0) return false;
      // Docker refuses to remove by its id what has names in several repositories.
      for (const name of [...image.tags, ...image.digests, id])
        await ask(() => docker.getImage(name).remove()).catch(nullIfMissing);
      return true;
    },
  };
}

function versionIn(labels: Record<string, string> | null | undefined): string | null {
  return labels?.['org.opencontainers.image.version'] ?? null;
}

/** The list says `<none>:<none>` where there is no name. */
function isName(text: string): boolean {
  return !text.includes('<none>');
}

function nullIfMissing(error: unknown): null {
  if ((error as { statusCode?: number }).statusCode === 404) return null;
  throw error;
}

/** The lines of an answer, each a JSON object. @throws when the connection breaks before its end, or is aborted */
async function* eventsOf(stream: NodeJS.ReadableStream, signal: AbortSignal): AsyncGenerator<PullEvent> {
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + chunk.toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line) as PullEvent;
  }
  if (rest.trim() !== '') yield JSON.parse(rest) as PullEvent;
  signal.throwIfAborted();
}

function loadError(error: unknown): OperatorError {
  const why = messageOf(error);
  if (/no space left on device/i.test(why)) return diskFull('the images of the bundle', why, error);
  return new OperatorError('LOAD_FAILED', `Docker does not load the images of the bundle: ${why}`, {
    exitCode: EXIT.docker,
    hint: 'nothing was stopped; make the bundle anew with docker save, or copy it again',
    cause: error,
  });
}
