import { loadConfig, type Secret, type Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { createApp } from './app.ts';
import { createAuth, databaseUsers } from './auth.ts';
import { createDocuments, databaseDocuments } from './documents.ts';
import { configuredExtractor } from './extract/index.ts';
import { ageGraph } from './graph.ts';
import type { Log } from './log.ts';
import { configuredObjects } from './objects/index.ts';
import { readiness } from './ready.ts';

export interface PlatformOptions {
  version: string;
  db: Kysely<Tables>;
  encryptionKey: Secret;
  signingKey: Secret;
  /** Where a store of files keeps them; null in a container, which has none. */
  dataDirectory: string | null;
  log: Log;
  /** Told every credential that configuration holds, before anything could log it. */
  onSecrets: (secrets: Secret[]) => void;
  shutdown: AbortSignal;
}

/**
 * The API, wired to a database and what is configured there.
 * @throws SchemaMissing, ConfigurationIncomplete, WrongEncryptionKey, CredentialUnreadable, SigningKeyInvalid, FileStoreElsewhere
 */
export async function createPlatform(options: PlatformOptions) {
  const { db, encryptionKey, log } = options;
  const auth = createAuth(databaseUsers(db), options.signingKey);
  const config = await loadConfig(db, encryptionKey);
  options.onSecrets(
    [config.ai.apiKey, config.objectStore.secretAccessKey].filter((secret) => secret !== null),
  );
  const graph = ageGraph(db);
  const objects = await configuredObjects(config.objectStore, options.dataDirectory);
  const documents = createDocuments(databaseDocuments(db), objects, log);
  const extractor = configuredExtractor(config.ai);
  const ready = readiness([
    { name: 'database', failure: 'the database or the graph in it cannot be read', run: () => graph.check() },
    {
      name: 'configuration',
      failure: 'the configuration cannot be read',
      run: async () => void (await loadConfig(db, encryptionKey)),
    },
    { name: 'object store', failure: 'documents cannot be stored', run: () => objects.check() },
  ]);
  const app = createApp({
    version: options.version,
    config,
    auth,
    graph,
    documents,
    extractor,
    ready,
    log,
    shutdown: options.shutdown,
  });
  return { app, config, graph, documents, extractor, ready };
}
