import { type ConnectionSettings, Secret } from '@kg-operator/config';
import { serveWire } from '../src/database/wire.ts';
import { emptyPglite } from './pglite.ts';

export interface EmbeddedServer {
  settings: ConnectionSettings;
  close(): Promise<void>;
}

/** An embedded database in memory behind the wire protocol, as `kg-operator dev` serves the one on disk. */
export async function embeddedServer(options: { idleTransactionMs?: number } = {}): Promise<EmbeddedServer> {
  const pglite = await emptyPglite();
  const password = new Secret('the password');
  const fail = (error: unknown) => {
    throw error;
  };
  const { port, close } = await serveWire(pglite, { port: 0, password, onFailure: fail, ...options });
  return {
    settings: { host: '127.0.0.1', port, user: 'kg', database: 'kg', password },
    async close() {
      await close();
      await pglite.close();
    },
  };
}
