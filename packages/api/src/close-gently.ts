import type { IncomingMessage, Server, ServerResponse } from 'node:http';

/** No connection for this long: the gateway has turned away. Less than docker/gateway/Caddyfile's `fail_duration`, in which it does not look back. */
const QUIET_MS = 250;
/** One that connections never stop coming to is closed all the same. */
const LONGEST_MS = 3_000;

/**
 * Stops listening without losing a request, lets those under way finish, and then calls `done`.
 *
 * A connection that the kernel has taken and node has not is reset when the listening socket closes, under a request that may be on it
 * already; the gateway can't know whether it was begun, and does not send a POST again. So the gateway is made to turn away before: every
 * further GET is dropped without an answer. It asks another copy then, and for a while sends nothing of any kind to this one. Whatever
 * else still comes is answered. Where only POSTs come the socket closes in the end with that risk, of less than a millisecond.
 */
export function closeGently(server: Server, done: () => void): void {
  const startedMs = performance.now();
  let lastMs = startedMs;
  server.on('connection', () => {
    lastMs = performance.now();
  });
  const answer = server.listeners('request');
  server.removeAllListeners('request');
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.method === 'GET') request.socket.destroy();
    else for (const listener of answer) listener.call(server, request, response);
  });
  const timer = setInterval(() => {
    const now = performance.now();
    if (now - lastMs < QUIET_MS && now - startedMs < LONGEST_MS) return;
    clearInterval(timer);
    server.close(done);
  }, 20);
}
