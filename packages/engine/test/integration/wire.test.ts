import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openDatabase, poolConfig } from '@kg-operator/config';
import { sql } from 'kysely';
import pg from 'pg';
import { openSession } from '../../src/database/session.ts';
import { migrationContract } from '../contract/migrations.ts';
import { platformContract } from '../contract/platform.ts';
import { type EmbeddedServer, embeddedServer } from '../embedded-server.ts';

// The same on the PostgreSQL of our image: test/e2e/database-contract.test.ts.
migrationContract('an embedded database over the wire', async () => {
  const server = await embeddedServer();
  const session = await openSession(server.settings);
  return {
    session,
    async close() {
      await session.close();
      await server.close();
    },
  };
});
platformContract('an embedded database over the wire', embeddedServer);

describe('the wire protocol', () => {
  let server: EmbeddedServer;
  let pool: pg.Pool;
  beforeAll(async () => {
    server = await embeddedServer({ idleTransactionMs: 300 });
    pool = new pg.Pool({ ...poolConfig(server.settings), max: 10 });
    pool.on('error', () => undefined);
    await pool.query('CREATE TABLE numbers (id int PRIMARY KEY, text text)');
  }, 60_000);
  afterAll(async () => {
    await pool.end();
    await server.close();
  });

  async function client() {
    const connection = new pg.Client(poolConfig(server.settings));
    connection.on('error', () => undefined);
    await connection.connect();
    return connection;
  }

  test.each(['', 'wrong', 'the password '])('refuses another password: %j', async (password) => {
    const connection = new pg.Client({ ...poolConfig(server.settings), password: password || 'x' });
    await expect(connection.connect()).rejects.toMatchObject({ code: '28P01' });
  });

  test.each([
    ['nothing that makes sense', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a length below its own', Buffer.from([0, 0, 0, 1, 0, 0, 0, 0])],
    ['a negative length', Buffer.from([255, 0, 0, 8, 0, 3, 0, 0])],
    [
      'a query before the login',
      Buffer.concat([Buffer.from([0, 0, 0, 8, 0, 3, 0, 0]), Buffer.from('Q\0\0\0\x0dSELECT 1\0')]),
    ],
    ['a protocol of the past', Buffer.from([0, 0, 0, 8, 0, 2, 0, 0])],
  ])('hangs up on %s', async (_, bytes) => {
    const socket = connect(server.settings.port, '127.0.0.1');
    socket.on('error', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(bytes);
    socket.resume();
    await closed;
    expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  test('a connection that is lost within a transaction of openDatabase fails it, and ends nothing else', async () => {
    const db = openDatabase(server.settings, { max: 1 });
    const transaction = db.transaction().execute(async (trx) => {
      await sql`SELECT 1`.execute(trx);
      await pool.query('SELECT 1'); // another one waits: the server ends this transaction
      await sql`SELECT 2`.execute(trx);
    });
    await expect(transaction).rejects.toThrow();
    expect((await sql`SELECT 3 AS three`.execute(db)).rows).toEqual([{ three: 3 }]);
    await db.destroy();
  });

  test('a message in single bytes is a message', async () => {
    const socket = connect({ port: server.settings.port, host: '127.0.0.1', noDelay: true });
    const startup = Buffer.concat([Buffer.from([0, 0, 0, 17, 0, 3, 0, 0]), Buffer.from('user\0kg\0\0')]);
    const login = Buffer.concat([Buffer.from('p\0\0\0\x11'), Buffer.from('the password\0')]);
    const query = Buffer.from('Q\0\0\0\x0eSELECT 42\0');
    let received = '';
    socket.on('data', (data) => {
      received += data.toString('latin1');
    });
    for (const byte of Buffer.concat([startup, login, query])) {
      await new Promise<void>((resolve) => {
        socket.write(Buffer.from([byte]), () => resolve());
      });
    }
    const deadline = Date.now() + 5000;
    while (!received.includes('SELECT 1\0Z') && Date.now() < deadline) await new Promise(setImmediate);
    socket.destroy();
    expect(received).toContain('\x0242');
  });

  test('statements of many connections do not meet: each gets its own answer', async () => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) =>
        pool.query('SELECT $1::int AS n, repeat($2, 2000) AS text', [n, 'x']),
      ),
    );
    expect(answers.map(({ rows }) => rows[0].n)).toEqual(Array.from({ length: 200 }, (_, n) => n));
  });

  test('an error is an answer: position and code arrive, the connection goes on', async () => {
    const connection = await client();
    await expect(connection.query('SELECT nothing')).rejects.toMatchObject({ code: '42703', position: '8' });
    await expect(connection.query('SELECT $1::int', ['no'])).rejects.toMatchObject({ code: '22P02' });
    expect((await connection.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await connection.end();
  });

  test('a transaction is alone until it ends, also when its client hangs up', async () => {
    const first = await client();
    await first.query('BEGIN');
    await first.query('INSERT INTO numbers VALUES (1)');
    const waiting = pool.query('SELECT count(*)::int AS n FROM numbers');
    // Not .end(): as a process that is killed.
    (first as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    expect((await waiting).rows).toEqual([{ n: 0 }]);
  });

  test('a transaction that does nothing is ended when others wait', async () => {
    const first = await client();
    const ended = new Promise<Error>((resolve) => first.once('error', resolve));
    await first.query('BEGIN');
    await first.query('INSERT INTO numbers VALUES (2)');
    expect((await pool.query('SELECT count(*)::int AS n FROM numbers')).rows).toEqual([{ n: 0 }]);
    expect(await ended).toMatchObject({ code: '25P03' });
  });

  test('what one connection SETs does not reach another', async () => {
    const first = await client();
    await first.query("SET search_path = ''");
    expect((await pool.query('SHOW search_path')).rows).toEqual([{ search_path: 'public,ag_catalog' }]);
    await first.end();
  });

  test('COPY FROM STDIN is refused and ends nothing; its words in a value are a value', async () => {
    await expect(pool.query('copy numbers\n from stdin')).rejects.toMatchObject({ code: '0A000' });
    await expect(
      pool.query({ text: 'COPY numbers FROM STDIN', values: [], queryMode: 'extended' } as pg.QueryConfig),
    ).rejects.toMatchObject({ code: '0A000' });
    expect((await pool.query('SELECT $1::text AS t', ['copy x from stdin'])).rows).toEqual([
      { t: 'copy x from stdin' },
    ]);
  });

  test('LISTEN is refused: all connections share a session, and each other’s notifications', async () => {
    await expect(pool.query('LISTEN kg_config')).rejects.toMatchObject({ code: '0A000' });
    await pool.query("NOTIFY kg_config, 'nobody hears'");
  });

  test('an answer of many megabytes arrives whole', async () => {
    const { rows } = await pool.query("SELECT repeat('y', 1000) AS text FROM generate_series(1, 20000)");
    expect(rows).toHaveLength(20_000);
    expect(rows.every(({ text }) => text.length === 1000)).toBe(true);
  });
});
