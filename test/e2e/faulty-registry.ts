import http from 'node:http';
import type { AddressInfo } from 'node:net';

/** What becomes of a request to the registry. */
export type Fault =
  /** Answered with this status and the registry's own kind of error. */
  | { status: number; code?: string }
  /** No answer at all. */
  | 'hang'
  /** The connection is broken after this many bytes of the body; `silent` keeps it open and sends nothing more. */
  | { after: number; silent?: true }
  /** The right answer, but other bytes of the same length. */
  | 'other bytes';

export interface FaultyRegistry {
  /** `127.0.0.1:PORT`, in the place of a registry's name; Docker speaks plain HTTP with this host. */
  host: string;
  /** `METHOD PATH` of all requests, in order. */
  requests: string[];
  /** Asked for each request; null: it is passed on. */
  fault: (request: { method: string; path: string }) => Fault | null;
  /** Refuses connections from now on, and breaks those that there are. */
  close(): Promise<void>;
}

/** The test bed's registry, with faults before it. Only for pulling. */
export async function faultyRegistry(upstream = '127.0.0.1:5000'): Promise<FaultyRegistry> {
  const server = http.createServer((request, response) => {
    const { method = 'GET', url: path = '/' } = request;
    registry.requests.push(`${method} ${path}`);
    const fault = registry.fault({ method, path });
    if (fault === 'hang') return;
    if (fault && typeof fault === 'object' && 'status' in fault) return refuse(response, fault);
    const [hostname, port] = upstream.split(':') as [string, string];
    const headers = { ...request.headers, host: upstream };
    const passed = http.request({ hostname, port, path, method, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      let sent = 0;
      answer.on('data', (chunk: Buffer) => {
        if (fault === 'other bytes') {
          response.write(otherBytes(chunk));
          return;
        }
        if (fault === null || sent + chunk.length <= fault.after) {
          sent += chunk.length;
          response.write(chunk);
          return;
        }
        response.write(chunk.subarray(0, fault.after - sent));
        sent = fault.after;
        answer.destroy();
        // What was written must leave before the connection breaks.
        if (!fault.silent) setTimeout(() => response.destroy(), 50);
      });
      answer.on('end', () => response.end());
      answer.on('error', () => response.destroy());
    });
    passed.on('error', () => response.destroy());
    passed.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const registry: FaultyRegistry = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    fault: () => null,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
  return registry;
}

/** https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes */
function refuse(
  response: http.ServerResponse,
  { status, code = 'UNKNOWN' }: { status: number; code?: string },
) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ errors: [{ code, message: 'said by the test' }] }));
}

/** A manifest stays JSON with the same members; of anything else every byte changes. */
function otherBytes(bytes: Buffer): Buffer {
  if (bytes[0] !== '{'.charCodeAt(0)) return Buffer.from(bytes.map((byte) => byte ^ 1));
  const text = bytes.toString('latin1');
  return Buffer.from(
    text.includes('  ') ? text.replace('  ', ' \t') : text.replace(/"([^"]+)":/, (all) => all.toUpperCase()),
    'latin1',
  );
}
