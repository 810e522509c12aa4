import type { Server } from 'node:http';
import { serve } from '@hono/node-server';
import { connectionSettings, loadConfig, openDatabase, readSecret, type Secret } from '@kg-operator/config';
import { createApp } from './app.ts';
import { createAuth, databaseUsers } from './auth.ts';
import { createDocuments, databaseDocuments } from './documents.ts';
import { configuredExtractor } from './extract/index.ts';
import { ageGraph } from './graph.ts';
import { describeError, jsonLog } from './log.ts';
import { s3Store } from './objects.ts';
import { readiness } from './ready.ts';
import { exitCodeOf, readAll, waitForDatabase } from './start.ts';

declare const KG_VERSION: string | undefined;
/** Set by build.js. */
const VERSION = typeof KG_VERSION === 'string' ? KG_VERSION : 'development';

/** Requests that are under way get this long to finish; Docker kills the container after ten seconds. */
const GRACE_MS = 5_000;

const secrets: Secret[] = [];
const log = jsonLog(secrets, (line) => process.stderr.write(line));

async function main(): Promise<void> {
  const { settings, encryptionKey, signingKey } = readAll({
    settings: () => connectionSettings(),
    encryptionKey: () => readSecret('ENCRYPTION_KEY'),
    signingKey: () => readSecret('OAUTH_SIGNING_KEY'),
  });
  secrets.push(settings.password, encryptionKey, signingKey);
  const port = Number(process.env.PORT ?? 8000);

  const shutdown = new AbortController();
  let server: Server | undefined;
  const stop = (signal: string) => {
    if (shutdown.signal.aborted) return;
    log('info', 'stopping', { signal });
    if (!server) process.exit(0);
    server.close(() => void db.destroy().finally(() => process.exit(0)));
    server.closeIdleConnections();
    setTimeout(() => shutdown.abort(), GRACE_MS).unref();
    setTimeout(() => server?.closeAllConnections(), GRACE_MS + 1_000).unref();
    setTimeout(() => process.exit(0), GRACE_MS + 2_000).unref();
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);

  const db = openDatabase(settings);
  const auth = createAuth(databaseUsers(db), signingKey);
  await waitForDatabase(db, { onRetry: (reason) => log('info', 'waiting for the database', { reason }) });
  const config = await loadConfig(db, encryptionKey);
  secrets.push(config.objectStore.secretAccessKey, ...(config.ai.apiKey ? [config.ai.apiKey] : []));

  const graph = ageGraph(db);
  const objects = s3Store(config.objectStore);
  const app = createApp({
    version: VERSION,
    config,
    auth,
    graph,
    documents: createDocuments(databaseDocuments(db), objects, log),
    extractor: configuredExtractor(config.ai),
    ready: readiness([
      {
        name: 'database',
        failure: 'the database or the graph in it cannot be read',
        run: () => graph.check(),
      },
      {
        name: 'configuration',
        failure: 'the configuration cannot be read',
        run: async () => void (await loadConfig(db, encryptionKey)),
      },
      { name: 'object store', failure: 'documents cannot be stored', run: () => objects.check() },
    ]),
    log,
    shutdown: shutdown.signal,
  });

  server = serve({ fetch: app.fetch, port }, (address) => {
    log('info', 'listening', { port: address.port, version: VERSION, provider: config.ai.provider });
  }) as Server;
  server.on('error', (error) => fail(error));
}

/** Ends the process; what an operator has to do goes to stderr as plain text. */
function fail(error: unknown): never {
  const code = exitCodeOf(error);
  if (code === 1) log('error', 'cannot start', describeError(error));
  else process.stderr.write(`The API cannot start: ${(error as Error).message}\n`);
  process.exit(code);
}

await main().catch(fail);
