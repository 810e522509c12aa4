import type { PlatformConfig } from '@kg-operator/config';
import { fileStore } from './files.ts';

/** Where the texts of documents are kept. `put` resolves once the store has confirmed the whole object. */
export interface ObjectStore {
  put(key: string, body: Uint8Array, contentType: string): Promise<void>;
  /** The object, or null if there is none of that key. */
  get(key: string): Promise<Uint8Array | null>;
  delete(key: string): Promise<void>;
  /** Fails, with a message for an operator, when the store can't be used. */
  check(): Promise<void>;
  /** Lets go of connections. Nothing is asked afterwards. */
  close(): void;
}

/** The configured store is one of files, and this process has no data directory: it runs in a container. */
export class FileStoreElsewhere extends Error {
  constructor() {
    super(
      'documents are configured to be kept in files, which only kg-operator dev can do: run ./operator.sh config garage',
    );
    this.name = 'FileStoreElsewhere';
  }
}

/**
 * The configured store: files when the endpoint is `file:DIRECTORY`, relative to `dataDirectory`, and S3 otherwise.
 * @throws FileStoreElsewhere
 */
export async function configuredObjects(
  settings: PlatformConfig['objectStore'],
  dataDirectory: string | null,
): Promise<ObjectStore> {
  const { secretAccessKey } = settings;
  if (secretAccessKey === null) {
    if (dataDirectory === null) throw new FileStoreElsewhere();
    return fileStore(dataDirectory, settings.endpoint.replace(/^file:/, ''), settings.bucket);
  }
  // Loaded where it is used: the SDK is most of what there is to load.
  const { s3Store } = await import('./s3.ts');
  return s3Store({ ...settings, secretAccessKey });
}
