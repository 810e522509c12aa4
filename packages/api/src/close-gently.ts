import type { Server } from 'node:http';

/** A server that connections never stop coming to is closed all the same: one turn takes less than a millisecond. */
const MOST_TURNS = 1_000;

/**
 * Stops listening, lets every request finish that was sent, and then calls `done`.
 *
 * A connection that the kernel has taken and node has not is reset when the listening socket closes, under a request that may be on it
 * already; a proxy can't know whether that one was begun, and must not send a POST again. One that comes later is refused, and a proxy
 * asks another copy. So connections are taken until a turn of the event loop finds none, and the socket is closed in that same turn: node
 * takes one or more in each turn's poll phase, and setImmediate() runs right behind it.
 */
export function closeGently(server: Server, done: () => void): void {
  let taken = true;
  let turns = 0;
  server.on('connection', () => {
    taken = true;
  });
  const turn = () => {
    if (!taken || ++turns > MOST_TURNS) return void server.close(done);
    taken = false;
    setImmediate(turn);
  };
  turn();
}
