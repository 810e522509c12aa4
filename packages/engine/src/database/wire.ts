import { createHash, randomInt, timingSafeEqual } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import type { PGlite } from '@electric-sql/pglite';
import type { Secret } from '@kg-operator/config';

/*
 * PostgreSQL's wire protocol (https://www.postgresql.org/docs/18/protocol.html) in front of an embedded database, so that everything
 * that speaks to PostgreSQL speaks to it: our own pools, other processes, psql.
 *
 * Behind all connections is one session. What keeps them apart is the turn: a connection has it from its first message until the
 * database is out of a transaction again, and whoever comes meanwhile waits. (@electric-sql/pglite-socket takes turns by message, which
 * lets the Parse of one client meet the Bind of another.)
 */
export interface WireServer {
  port: number;
  close(): Promise<void>;
}

export interface WireOptions {
  /** 0: any free one. */
  port: number;
  password: Secret;
  /** The database ended under us; nothing can be served any more. */
  onFailure: (error: unknown) => void;
  /** How long a transaction may do nothing while others wait, in milliseconds. */
  idleTransactionMs?: number;
}

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;
const CANCEL_REQUEST = 80877102;
const PROTOCOL_MAJOR = 3;
const MAX_STARTUP_BYTES = 10_000;
const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;
/** What clients are told of the server, as PostgreSQL reports it after a login. */
const REPORTED = [
  'server_version',
  'server_encoding',
  'client_encoding',
  'DateStyle',
  'TimeZone',
  'integer_datetimes',
  'standard_conforming_strings',
];

/** Serves an embedded database on 127.0.0.1, to whoever has the password. */
export async function serveWire(pglite: PGlite, options: WireOptions): Promise<WireServer> {
  const parameters: Buffer[] = [];
  for (const name of REPORTED) {
    const { rows } = await pglite.query<Record<string, string>>(`SHOW ${name}`);
    const value = Object.values(rows[0] ?? {})[0] ?? '';
    parameters.push(message('S', Buffer.from(`${name}\0${value}\0`)));
  }
  const turn = new Turn();
  const connections = new Set<Connection>();
  const shared: Shared = {
    pglite,
    turn,
    greeting: Buffer.concat(parameters),
    changedSettings: null,
    ...options,
  };
  const server = createServer({ noDelay: true }, (socket) => {
    const connection = new Connection(socket, shared);
    connections.add(connection);
    socket.once('close', () => connections.delete(connection));
  });
  await listen(server, options.port);
  return {
    port: (server.address() as { port: number }).port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const connection of connections) connection.end('57P01', 'the database is being closed');
      await closed;
      // Whatever had the turn has given it back: nothing runs any more.
      (await turn.take())();
    },
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
}

/** One after the other, in the order of asking. */
class Turn {
  #last: Promise<void> = Promise.resolve();
  waiting = 0;

  /** Resolves to the function that gives the turn back. */
  async take(): Promise<() => void> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    this.waiting += 1;
    await before;
    this.waiting -= 1;
    return resolve;
  }
}

interface Shared extends WireOptions {
  pglite: PGlite;
  turn: Turn;
  /** ParameterStatus messages. */
  greeting: Buffer;
  /** Who changed a setting of the session all share; it is reset before another one's turn. */
  changedSettings: Connection | null;
}

class Connection {
  readonly #socket: Socket;
  readonly #shared: Shared;
  #state: 'startup' | 'password' | 'ready' | 'ended' = 'startup';
  #received: Buffer[] = [];
  #length = 0;
  #batch: Buffer[] = [];
  #work: Promise<void> = Promise.resolve();
  #giveBack: (() => void) | null = null;
  #idle: NodeJS.Timeout | undefined;

  constructor(socket: Socket, shared: Shared) {
    this.#socket = socket;
    this.#shared = shared;
    socket.on('data', (data: Buffer) => this.#receive(data));
    socket.on('error', () => undefined); // 'close' follows
    socket.on('close', () => this.#enqueue(() => this.#leave()));
  }

  /** Says why and hangs up. */
  end(code: string, text: string): void {
    this.#state = 'ended';
    if (this.#socket.writable) this.#socket.end(errorResponse('FATAL', code, text));
    this.#socket.destroySoon();
  }

  #receive(data: Buffer): void {
    this.#received.push(data);
    this.#length += data.length;
    for (;;) {
      const header = this.#state === 'startup' ? 0 : 1;
      if (this.#length < header + 4) return;
      if ((this.#received[0] as Buffer).length < header + 4) this.#join();
      const size = header + (this.#received[0] as Buffer).readInt32BE(header);
      const limit = this.#state === 'ready' ? MAX_MESSAGE_BYTES : MAX_STARTUP_BYTES;
      if (size < header + 4 || size > limit) {
        this.end('08P01', 'invalid message length');
        return;
      }
      if (this.#length < size) return;
      const all = this.#join();
      this.#received = [all.subarray(size)];
      this.#length -= size;
      this.#handle(all.subarray(0, size));
    }
  }

  #join(): Buffer {
    const all = this.#received.length === 1 ? (this.#received[0] as Buffer) : Buffer.concat(this.#received);
    this.#received = [all];
    return all;
  }

  #handle(bytes: Buffer): void {
    if (this.#state === 'startup') this.#startup(bytes.readInt32BE(4));
    else if (this.#state === 'password') this.#login(bytes);
    else if (this.#state === 'ready') this.#accept(bytes);
  }

  #startup(code: number): void {
    if (code === SSL_REQUEST || code === GSS_REQUEST) {
      this.#socket.write('N');
    } else if (code >> 16 === PROTOCOL_MAJOR) {
      this.#state = 'password';
      this.#socket.write(message('R', int32(3))); // AuthenticationCleartextPassword: this never leaves the machine
    } else if (code === CANCEL_REQUEST) {
      this.#socket.destroy();
    } else {
      this.end('08P01', 'unsupported protocol version');
    }
  }

  #login(bytes: Buffer): void {
    const given = bytes.subarray(5, bytes.length - 1).toString('utf8');
    if (typeOf(bytes) !== 'p' || !sameSecret(given, this.#shared.password.reveal())) {
      this.end('28P01', 'password authentication failed');
      return;
    }
    this.#state = 'ready';
    const ok = message('R', int32(0));
    const key = message('K', Buffer.concat([int32(process.pid), int32(randomInt(2 ** 31))]));
    this.#socket.write(Buffer.concat([ok, this.#shared.greeting, key, message('Z', Buffer.from('I'))]));
  }

  #accept(bytes: Buffer): void {
    const type = typeOf(bytes);
    if (type === 'X') {
      this.#socket.end();
      return;
    }
    // CopyData, CopyDone, CopyFail: a client that was told no may already have sent them; the protocol has them ignored.
    if ('dcf'.includes(type)) return;
    this.#batch.push(onlyPossible(type, bytes));
    // Parse, Bind, Describe, Execute and Close run when Sync or Flush asks for answers.
    if (!'QFSH'.includes(type)) return;
    const batch = Buffer.concat(this.#batch);
    this.#batch = [];
    this.#enqueue(() => this.#run(batch, type === 'H'));
  }

  #enqueue(task: () => Promise<void>): void {
    this.#work = this.#work.then(task).catch((error: unknown) => {
      // Not an error of SQL, which is an answer like any other: the database itself is gone.
      this.#shared.onFailure(error);
      this.#socket.destroy();
    });
  }

  async #run(batch: Buffer, isOpenEnded: boolean): Promise<void> {
    clearTimeout(this.#idle);
    const { pglite, turn } = this.#shared;
    this.#giveBack ??= await turn.take();
    if (this.#socket.destroyed) return; // 'close' has enqueued what is to be done
    await this.#restoreSettings();
    const reader = new AnswerReader();
    await pglite.runExclusive(() =>
      pglite.execProtocolRawStream(batch, {
        onRawData: (data) => {
          const copy = Buffer.from(data);
          reader.read(copy);
          if (this.#socket.writable) this.#socket.write(copy);
        },
      }),
    );
    if (reader.settingsChanged) this.#shared.changedSettings = this;
    if (reader.status === 'I') this.#release();
    else if (!isOpenEnded) this.#watchIdleTransaction();
  }

  async #restoreSettings(): Promise<void> {
    const { changedSettings, pglite } = this.#shared;
    if (changedSettings === null || changedSettings === this) return;
    this.#shared.changedSettings = null;
    await pglite.exec('RESET ALL');
  }

  #watchIdleTransaction(): void {
    const { turn, idleTransactionMs = 30_000 } = this.#shared;
    this.#idle = setTimeout(() => {
      if (turn.waiting > 0)
        this.end('25P03', 'terminating connection due to idle-in-transaction timeout: others are waiting');
      else this.#watchIdleTransaction();
    }, idleTransactionMs);
    this.#idle.unref();
  }

  /** The socket is closed: what it left open is rolled back. */
  async #leave(): Promise<void> {
    clearTimeout(this.#idle);
    if (this.#giveBack) await this.#shared.pglite.exec('ROLLBACK');
    this.#release();
  }

  #release(): void {
    this.#giveBack?.();
    this.#giveBack = null;
  }
}

/** Follows the messages of an answer, however they are cut, and notes what the server must know of them. */
class AnswerReader {
  /** Of the last ReadyForQuery: I idle, T in a transaction, E in a failed one. */
  status = '';
  settingsChanged = false;
  /** The beginning of a message that is not yet there whole. */
  #rest: Buffer = Buffer.alloc(0);
  /** How many bytes of what follows belong to a message of no interest. */
  #skip = 0;

  read(data: Buffer): void {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, data]) : data;
    this.#rest = Buffer.alloc(0);
    let at = this.#skip;
    this.#skip = 0;
    while (at < bytes.length) {
      const type = String.fromCharCode(bytes[at] as number);
      const size = bytes.length - at < 5 ? 5 : 1 + bytes.readInt32BE(at + 1);
      const isWhole = bytes.length - at >= size;
      if (!isWhole && (size === 5 || type === 'Z' || type === 'C')) {
        this.#rest = bytes.subarray(at);
        return;
      }
      if (type === 'Z') this.status = bytes.toString('latin1', at + 5, at + 6);
      if (type === 'C' && /^(?:SET|RESET|DISCARD)/.test(bytes.toString('latin1', at + 5, at + size)))
        this.settingsChanged = true;
      at += size;
    }
    this.#skip = at - bytes.length;
  }
}

/** What would end PGlite, which can't wait for a client's data; and what would have one client's notifications sent to another. */
const IMPOSSIBLE = [
  { pattern: /\bcopy\b[^;]*\bfrom\s+stdin\b/i, name: 'COPY FROM STDIN' },
  { pattern: /^\s*listen\b/i, name: 'LISTEN' },
];

/** In place of an impossible statement, one that fails. */
function onlyPossible(type: string, bytes: Buffer): Buffer {
  if (type !== 'Q' && type !== 'P') return bytes;
  const start = type === 'Q' ? 5 : bytes.indexOf(0, 5) + 1;
  const text = bytes.toString('latin1', start);
  const impossible = IMPOSSIBLE.find(({ pattern }) => pattern.test(text));
  if (!impossible) return bytes;
  const failing = Buffer.from(
    `DO $$BEGIN RAISE feature_not_supported USING MESSAGE = '${impossible.name} is not possible with the embedded database'; END$$\0`,
  );
  return type === 'Q'
    ? message('Q', failing)
    : message('P', Buffer.concat([bytes.subarray(5, start), failing, Buffer.from([0, 0])]));
}

function typeOf(bytes: Buffer): string {
  return String.fromCharCode(bytes[0] as number);
}

function message(type: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);
}

function errorResponse(severity: string, code: string, text: string): Buffer {
  return message('E', Buffer.from(`S${severity}\0V${severity}\0C${code}\0M${text}\0\0`));
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32BE(value);
  return buffer;
}

function sameSecret(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
