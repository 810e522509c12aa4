import type { PlatformConfig } from '@kg-operator/config';
import type { Auth } from './auth.ts';
import type { Documents } from './documents.ts';
import type { Extractor } from './extract/index.ts';
import type { ObjectStore } from './objects/index.ts';

/** One configuration, and everything that was made from it. A request sees one of these and no other. */
export interface Snapshot {
  config: PlatformConfig;
  auth: Auth;
  objects: ObjectStore;
  documents: Documents;
  extractor: Extractor;
}
