import type { Server } from 'node:http';
import { serve } from '@hono/node-server';
import { connectionSettings, openDatabase, readSecret } from '@kg-operator/config';
import { closeGently } from './close-gently.ts';
import { describeError, jsonLog, Redaction } from './log.ts';
import { createPlatform } from './platform.ts';
import { exitCodeOf, readAll, waitForDatabase } from './start.ts';

declare const KG_VERSION: string | undefined;
/** Set by build.js. */
const VERSION = typeof KG_VERSION === 'string' ? KG_VERSION : 'development';

/** Requests that are under way get this long to finish; compose gives the container 30 s (`stop_grace_period`). */
const GRACE_MS = 25_000;

const redaction = new Redaction();
const log = jsonLog(redaction, (line) => process.stderr.write(line));

async function main(): Promise<void> {
  const { settings, encryptionKey, signingKey } = readAll({
    settings: () => connectionSettings(),
    encryptionKey: () => readSecret('ENCRYPTION_KEY'),
    signingKey: () => readSecret('OAUTH_SIGNING_KEY'),
  });
  redaction.add([settings.password, encryptionKey, signingKey]);
  const port = Number(process.env.PORT ?? 8000);

  const shutdown = new AbortController();
  let server: Server | undefined;
  const close = async () => {
    await platform.close();
    await db.destroy();
  };
  const stop = (signal: string) => {
    if (shutdown.signal.aborted) return;
    log('info', 'stopping', { signal });
    if (!server) process.exit(0);
    closeGently(server, () => void close().finally(() => process.exit(0)));
    setTimeout(() => shutdown.abort(), GRACE_MS).unref();
    setTimeout(() => server?.closeAllConnections(), GRACE_MS + 1_000).unref();
    setTimeout(() => process.exit(0), GRACE_MS + 2_000).unref();
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);

  const db = openDatabase(settings);
  await waitForDatabase(db, { onRetry: (reason) => log('info', 'waiting for the database', { reason }) });
  const platform = await createPlatform({
    version: VERSION,
    db,
    connection: settings,
    encryptionKey,
    signingKey,
    dataDirectory: null,
    log,
    onSecrets: redaction.add,
    shutdown: shutdown.signal,
  });

  server = serve({ fetch: platform.app.fetch, port }, (address) => {
    const { provider } = platform.inForce.current.config.ai;
    log('info', 'listening', { port: address.port, version: VERSION, provider });
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
