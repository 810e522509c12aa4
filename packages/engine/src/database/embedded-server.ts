import { randomBytes } from 'node:crypto';
import type { PGlite } from '@electric-sql/pglite';
import { type ConnectionSettings, Secret } from '@kg-operator/config';
import { openFolder } from './embedded.ts';
import { serveWire } from './wire.ts';

/** An embedded database of this process alone, beside the platform's own. */
export interface EmbeddedServer {
  /** Another one after `reopen()`. */
  connection: ConnectionSettings;
  pglite: PGlite;
  /** Closes and opens it: what its one session remembers is gone. */
  reopen(): Promise<void>;
  /** All of it is on the disk then, if it is durable. */
  close(): Promise<void>;
}

/** Opens the database in a folder, or makes it. @throws OperatorError DATABASE_DAMAGED */
export async function openServer(folder: string, { durable }: { durable: boolean }): Promise<EmbeddedServer> {
  const password = new Secret(randomBytes(24).toString('hex'));
  const open = async () => {
    const pglite = await openFolder(folder, { durable });
    // What the database says when it ends is what fails the statement under way.
    const wire = await serveWire(pglite, { port: 0, password, onFailure: () => undefined });
    const connection = { host: '127.0.0.1', port: wire.port, user: 'kg', database: 'kg', password };
    const close = async () => {
      await wire.close();
      await pglite.close();
    };
    return { pglite, connection, close };
  };
  let opened = await open();
  return {
    get connection() {
      return opened.connection;
    },
    get pglite() {
      return opened.pglite;
    },
    async reopen() {
      await opened.close();
      opened = await open();
    },
    close: () => opened.close(),
  };
}
