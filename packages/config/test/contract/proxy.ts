import { createServer, connect as dial, type Socket } from 'node:net';
import type { ConnectionSettings } from '../../src/index.ts';

/** A way to a database that a test can cut. */
export interface TcpProxy {
  settings: ConnectionSettings;
  /** How many connections are open. */
  open(): number;
  /** How many there ever were. */
  total(): number;
  /** Ends all open connections, without a word of the protocol. */
  cut(): void;
  /** Lets nothing through any more, and says nothing. New connections pass. */
  stall(): void;
  /** Takes new connections, or closes them at once. */
  accept(accepts: boolean): void;
  close(): Promise<void>;
}

export async function proxyTo(target: ConnectionSettings): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let accepts = true;
  let total = 0;
  const server = createServer((socket) => {
    socket.on('error', () => undefined); // 'close' follows
    if (!accepts) {
      socket.destroy();
      return;
    }
    total += 1;
    const upstream = dial(target.port, target.host);
    upstream.on('error', () => undefined); // 'close' follows
    sockets.add(socket);
    socket.pipe(upstream);
    upstream.pipe(socket);
    socket.on('close', () => {
      sockets.delete(socket);
      upstream.destroy();
    });
    upstream.on('close', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    settings: { ...target, host: '127.0.0.1', port: (server.address() as { port: number }).port },
    open: () => sockets.size,
    total: () => total,
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    stall() {
      for (const socket of sockets) socket.unpipe().on('data', () => undefined);
    },
    accept(value) {
      accepts = value;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
