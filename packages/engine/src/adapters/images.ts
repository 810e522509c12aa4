import type { Readable } from 'node:stream';

/** An image that Docker has here. */
export interface LocalImage {
  /** `sha256:…` of its configuration. */
  id: string;
  /** `NAME@sha256:…`, as it was pulled. */
  digests: string[];
  /** `NAME:TAG`. */
  tags: string[];
  bytes: number;
  /** Label `org.opencontainers.image.version`. */
  version: string | null;
}

/** What the engine asks of Docker about images. */
export interface ImageStore {
  /** By reference or id; null: it is not here. */
  find(reference: string): Promise<LocalImage | null>;
  list(): Promise<LocalImage[]>;
  /** One try. @throws OperatorError PULL_FAILED and more exact codes */
  pull(reference: string, report: (line: string) => void, signal: AbortSignal): Promise<void>;
  /** What `docker load` does. */
  load(tar: Readable, report: (line: string) => void, signal: AbortSignal): Promise<void>;
  /** False where a container uses it. */
  remove(id: string): Promise<boolean>;
}

export function dockerImages(): ImageStore {
  return {} as ImageStore;
}
