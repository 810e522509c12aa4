import type { ConfigRows } from './config-rows.ts';

/** Row `object_store` of `kg_api.platform_settings`; the secret is the row `garage` of `kg_api.system_api_keys`. */
export interface ObjectStoreSettings {
  /** An S3 address, or `file:DIRECTORY`, relative to the data directory of the process that serves the API. */
  endpoint: string;
  region: string;
  bucket: string;
  accessKeyId: string;
}

/** Whether documents are kept in files, which need no credentials. */
export function isFileStore(store: Pick<ObjectStoreSettings, 'endpoint'>): boolean {
  return store.endpoint.startsWith('file:');
}

/** Where documents are kept, if that is configured. */
export function objectStoreOf({ settings }: Pick<ConfigRows, 'settings'>): ObjectStoreSettings | undefined {
  return settings.find(({ key }) => key === 'object_store')?.value as ObjectStoreSettings | undefined;
}
