import {
  type ConnectionSettings,
  type PlatformConfig,
  Secret,
  type Tables,
  watchConfig,
} from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { createAccounts } from './accounts.ts';
import { createApp } from './app.ts';
import { createAuth } from './auth.ts';
import { createClaims, databaseClaims } from './claims.ts';
import { createDocuments, databaseDocuments } from './documents.ts';
import { configuredExtractor, ProviderLimits } from './extract/index.ts';
import { ageGraph } from './graph.ts';
import { InForce } from './in-force.ts';
import type { Log } from './log.ts';
import { configuredObjects } from './objects/index.ts';
import { readiness } from './ready.ts';
import { Reloading } from './reloading.ts';
import { signingKeys } from './signing-keys.ts';
import type { Snapshot } from './snapshot.ts';
import { databaseUsers } from './users.ts';

export interface PlatformOptions {
  version: string;
  db: Kysely<Tables>;
  /** Of the same database: what follows the configuration has a connection of its own. */
  connection: ConnectionSettings;
  encryptionKey: Secret;
  signingKey: Secret;
  /** Where a store of files keeps them; null in a container, which has none. */
  dataDirectory: string | null;
  log: Log;
  /** Told every credential that configuration holds, before anything could log it. */
  onSecrets: (secrets: Secret[]) => void;
  shutdown: AbortSignal;
}

/** How soon the log tells that configuration can't be taken up, or can be again. */
const OBSERVE_MS = 1_000;

/**
 * The API, wired to a database and what is configured there, now and whenever it changes.
 * @throws SchemaMissing, ConfigurationIncomplete, WrongEncryptionKey, CredentialUnreadable, SettingInvalid, SigningKeyInvalid,
 *   FileStoreElsewhere
 */
export async function createPlatform(options: PlatformOptions) {
  const { db, log } = options;
  const rows = databaseDocuments(db);
  const limits = new ProviderLimits();

  const snapshotOf = async (config: PlatformConfig): Promise<Snapshot> => {
    options.onSecrets(secretsOf(config));
    const keys = signingKeys(options.signingKey, config.previousSigningKey);
    const tokenLifetime = config.settings['auth.token-lifetime'];
    const objects = await configuredObjects(config.objectStore, options.dataDirectory);
    return {
      config,
      auth: createAuth({ users: config.users, keys, tokenLifetime }),
      objects,
      documents: createDocuments(rows, objects, log),
      extractor: configuredExtractor(config.ai, config.settings['extraction.timeout'] * 1000, limits),
    };
  };

  // Null: there will be none. A change may be noticed before the first snapshot is made.
  const first = Promise.withResolvers<InForce<Snapshot> | null>();
  const watch = await watchConfig(options.connection, options.encryptionKey, {
    host: options.dataDirectory === null ? 'host.docker.internal' : 'localhost',
    onChange: async (config) => {
      const next = await snapshotOf(config);
      (await first.promise)?.replace(next);
      log('info', 'configuration taken up', { version: config.version });
    },
  });
  let inForce: InForce<Snapshot>;
  try {
    inForce = new InForce(await snapshotOf(watch.current()), ({ objects }) => objects.close());
  } catch (error) {
    first.resolve(null);
    await watch.close();
    throw error;
  }
  first.resolve(inForce);
  const reloading = new Reloading(log);
  const observing = setInterval(() => reloading.observe(watch.failure()), OBSERVE_MS).unref();

  const graph = ageGraph(db);
  const ready = readiness([
    { name: 'database', failure: 'the database or the graph in it cannot be read', run: () => graph.check() },
    { name: 'configuration', failure: 'the configuration is out of date', run: () => reloading.check() },
    {
      name: 'object store',
      failure: 'documents cannot be stored',
      run: () => inForce.use(({ objects }) => objects.check()),
    },
  ]);
  const app = createApp({
    version: options.version,
    inForce,
    accounts: createAccounts(databaseUsers(db)),
    claims: createClaims(databaseClaims(db)),
    graph,
    ready,
    log,
    shutdown: options.shutdown,
  });
  return {
    app,
    inForce,
    graph,
    ready,
    /** Stops following the configuration; requests under way keep what they have. */
    async close() {
      clearInterval(observing);
      await watch.close();
      inForce.close();
    },
  };
}

function secretsOf({ ai, embedding, objectStore, previousSigningKey }: PlatformConfig): Secret[] {
  const secrets = [ai.apiKey, embedding.apiKey, objectStore.secretAccessKey, previousSigningKey?.key];
  return secrets.filter((secret) => secret instanceof Secret);
}
