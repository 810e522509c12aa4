import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { zstdDecompressSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type ConnectionSettings, poolConfig } from '@kg-operator/config';
import pg from 'pg';
import { type DumpOptions, dumpDatabase } from '../../packages/engine/src/backup/database-dump.ts';
import { loadDatabase } from '../../packages/engine/src/backup/database-load.ts';
import { runProgram } from '../../packages/engine/src/backup/database-programs.ts';
import { verifyDatabase } from '../../packages/engine/src/backup/database-verify.ts';
import {
  CHUNK_LIMIT,
  CHUNK_LIST,
  chunkName,
  type DatabaseManifest,
  type DumpMember,
  POST_DATA,
  PRE_DATA,
} from '../../packages/engine/src/backup/format.ts';
import { ensureImage } from './images.ts';
import { MESSY } from './messy-database.ts';
import { type PostgresServer, startPostgres } from './postgres.ts';
import { usePostgresClient } from './postgres-client.ts';
import { until } from './wait.ts';

jest.setTimeout(300_000);

let source: PostgresServer;
let target: PostgresServer;
let removeClient: () => Promise<void>;
beforeAll(async () => {
  const image = await ensureImage('postgres');
  removeClient = await usePostgresClient(image);
  [source, target] = await Promise.all([startPostgres(image), startPostgres(image)]);
});
afterAll(async () => {
  await Promise.all([source?.close(), target?.close(), removeClient?.()]);
});

interface Dump {
  manifest: DatabaseManifest;
  members: DumpMember[];
}

async function dump(settings: ConnectionSettings, options: DumpOptions = {}): Promise<Dump> {
  const members: DumpMember[] = [];
  const manifest = await dumpDatabase(
    settings,
    {
      async member(name, bytes) {
        members.push({ name, bytes });
      },
    },
    options,
  );
  // As it is stored: what JSON does not keep is not there when it is loaded.
  return { manifest: JSON.parse(JSON.stringify(manifest)), members };
}

async function* from(members: DumpMember[]): AsyncGenerator<DumpMember> {
  yield* members;
}

async function connected<Result>(
  settings: ConnectionSettings,
  use: (query: <Row>(sql: string) => Promise<Row[]>) => Promise<Result>,
): Promise<Result> {
  const client = new pg.Client(poolConfig(settings));
  client.on('error', () => undefined); // some tests end it
  await client.connect();
  try {
    return await use(async <Row>(sql: string) => {
      const answer = await client.query(sql);
      return ((Array.isArray(answer) ? answer.at(-1) : answer).rows ?? []) as Row[];
    });
  } finally {
    await client.end();
  }
}

/** Runs the script statement by statement: cypher() wants its graph committed. */
async function fill(settings: ConnectionSettings, script: string): Promise<void> {
  await runProgram('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', '-'], {
    settings,
    input: `SET search_path = public, ag_catalog;\n${script}`,
  });
}

/** It goes with its server. */
async function emptyDatabase(server: PostgresServer): Promise<ConnectionSettings> {
  return (await server.createDatabase()).settings;
}

/** The same once more, files and all. */
async function copyOf({ database, ...server }: ConnectionSettings): Promise<ConnectionSettings> {
  const name = `${database}_${randomBytes(3).toString('hex')}`;
  await connected({ ...server, database: 'kg' }, (query) =>
    query(`CREATE DATABASE ${name} TEMPLATE ${database}`),
  );
  return { ...server, database: name };
}

describe('a database with all that makes dumps difficult', () => {
  let original: ConnectionSettings;
  let restored: ConnectionSettings;
  let saved: Dump;
  let createdRoles: string[];
  beforeAll(async () => {
    original = await emptyDatabase(source);
    await fill(original, MESSY);
    await connected(original, async (query) => {
      await query(`ALTER DATABASE ${original.database} SET search_path = "$user", public, "odd ""schema"""`);
      await query(`ALTER DATABASE ${original.database} SET work_mem = '7MB'`);
      await query(`ALTER DATABASE ${original.database} SET "app.tenant" = 'it''s'`);
      await query(`ALTER ROLE messy_reader IN DATABASE ${original.database} SET statement_timeout = '3s'`);
    });
    saved = await dump(original);
    restored = await emptyDatabase(target);
    ({ createdRoles } = await loadDatabase(restored, from(saved.members), saved.manifest));
  });

  test('members: schema first, then chunks in the order of their numbers, none larger than the limit', () => {
    const names = saved.members.map(({ name }) => name);
    const count = saved.manifest.tables.reduce((sum, { chunks }) => sum + chunks.length, 0);
    expect(names).toEqual([
      PRE_DATA,
      POST_DATA,
      ...Array.from({ length: count }, (_, index) => chunkName(index)),
      CHUNK_LIST,
    ]);
    expect(Math.max(...saved.members.map(({ bytes }) => bytes.length))).toBeLessThanOrEqual(CHUNK_LIMIT);
  });

  test('verification finds nothing, the second time neither', async () => {
    expect(await verifyDatabase(restored, saved.manifest)).toEqual([]);
    expect(await verifyDatabase(restored, saved.manifest)).toEqual([]);
  });

  test('a dump of the restored database is the same: rows, sequences, graphs, settings, objects', async () => {
    const again = await dump(restored);
    const comparable = ({ tables, graphs, ...manifest }: DatabaseManifest) => ({
      ...manifest,
      tables: tables
        .map(({ chunks, ...table }) => ({ ...table, chunks: chunks.length }))
        .sort((a, b) => (`${a.schema}.${a.name}` < `${b.schema}.${b.name}` ? -1 : 1)),
      graphs: graphs.map(({ oid, ...graph }) => graph),
    });
    expect(comparable(again.manifest)).toEqual(comparable(saved.manifest));
    expect(saved.manifest.settings).toHaveLength(4);
  });

  test('the schemas are the same, as pg_dump writes them', async () => {
    const schema = async (settings: ConnectionSettings, graphs: DatabaseManifest['graphs']) => {
      const text = (await runProgram('pg_dump', ['--schema-only'], { settings })).toString();
      const named = graphs.reduce(
        (all, { oid, name }) => all.replaceAll(`'${oid}'::oid`, `GRAPH ${name}`),
        text
          .replace(/'"?([\w.-]+)"?'::regnamespace\)::oid/g, (_, name) => `GRAPH ${name}`)
          .replaceAll('(GRAPH', 'GRAPH'),
      );
      return named.replace(/^\\(un)?restrict .*$/gm, '').split('\n');
    };
    const before = await schema(original, saved.manifest.graphs);
    expect(before.length).toBeGreaterThan(500);
    expect(await schema(restored, saved.manifest.graphs)).toEqual(before);
  });

  test('roles that were missing are made, and none of them can log in', async () => {
    expect(createdRoles).toEqual(['messy "owner"', 'messy_reader']);
    const roles = await connected(target.settings, (query) =>
      query("SELECT rolname FROM pg_roles WHERE rolname ~ '^messy' AND rolcanlogin"),
    );
    expect(roles).toEqual([]);
  });

  test.each([
    'SELECT * FROM people ORDER BY name',
    'SELECT * FROM people_keyed ORDER BY id',
    'SELECT * FROM people_kept ORDER BY name',
    'SELECT someone()',
    'SELECT * FROM needs_key',
    'SELECT * FROM sums ORDER BY k',
    "SELECT * FROM cypher('first', $$ MATCH (n) RETURN n ORDER BY id(n) $$) AS (n agtype)",
    "SELECT * FROM cypher('first', $$ MATCH (a)-[e]->(b) RETURN a, e, b ORDER BY id(e) $$) AS (a agtype, e agtype, b agtype)",
    "SELECT * FROM cypher('first', $$ MATCH p = (:Person {name: 'A'})-[*1..3]->(x) RETURN p $$) AS (p agtype)",
    "SELECT * FROM cypher('Second-graph.v2', $$ MATCH (a:Émile)-[e]->(b) RETURN [a, e, b] $$) AS (x agtype)",
  ])('the same answer: %s', async (question) => {
    const ask = (settings: ConnectionSettings) =>
      connected(settings, (query) => query(`SET search_path = public, ag_catalog; ${question}`));
    const answer = await ask(original);
    expect(answer.length).toBeGreaterThan(0);
    expect((await ask(restored)).map((row) => JSON.stringify(row)).sort()).toEqual(
      answer.map((row) => JSON.stringify(row)).sort(),
    );
  });

  test('a table is read from its chunks with zstd alone', async () => {
    const table = saved.manifest.tables.find(({ name }) => name === 'every_type');
    const bytes = table?.chunks.map(
      (chunk) => saved.members.find(({ name }) => name === chunkName(chunk))?.bytes as Buffer,
    );
    const text = zstdDecompressSync(Buffer.concat(bytes ?? []));
    expect(text.toString().split('\n')).toHaveLength((table?.rows ?? 0) + 1);
    expect(createHash('sha256').update(text).digest('hex')).toBe(table?.sha256);
  });

  test('new vertices, labels and graphs can be made afterwards, and their ids are new', async () => {
    const copy = await copyOf(restored);
    await fill(
      copy,
      `SELECT * FROM cypher('first', $$ CREATE (:Person {name: 'C'})-[:NEW_EDGE]->(:NewLabel) $$) AS (r agtype);
       SELECT create_graph('third');
       SELECT * FROM cypher('third', $$ CREATE (:A)-[:B]->(:C) $$) AS (r agtype);
       SELECT * FROM cypher('hollow', $$ CREATE (:A)-[:B]->(:C) $$) AS (r agtype);
       INSERT INTO every_type (s) VALUES ('new');
       SELECT drop_graph('Second-graph.v2', true);`,
    );
    const counts = await connected(copy, (query) =>
      query<{ ids: string; all: string }>(
        `SELECT count(DISTINCT id::text) AS ids, count(*) AS all FROM first._ag_label_vertex`,
      ),
    );
    expect(counts[0]?.ids).toBe(counts[0]?.all);
    const again = await dump(copy);
    expect(again.manifest.graphs.map(({ name, vertices, edges }) => [name, vertices, edges])).toContainEqual([
      'third',
      2,
      1,
    ]);
  });

  describe('what verification finds', () => {
    let copy: ConnectionSettings;
    beforeEach(async () => {
      copy = await copyOf(restored);
    });
    const damages: [string, string, string[]][] = [
      ['a row is missing', 'DELETE FROM widths WHERE id = 1', ['ROWS_DIFFER']],
      ['a value differs', `UPDATE refers SET self = 2 WHERE id = 2`, ['ROWS_DIFFER']],
      ['a table is missing', 'DROP TABLE unlogged', ['TABLE_MISSING', 'OBJECTS_DIFFER']],
      ['an index is missing', 'DROP INDEX first.person_name', ['OBJECTS_DIFFER']],
      ['a sequence is behind', `SELECT setval('called', 1)`, ['SEQUENCE_DIFFERS']],
      ['a vertex is gone', `DELETE FROM ONLY first."Person"`, ['ROWS_DIFFER', 'GRAPH_DANGLING_EDGES']],
      [
        'the graph has the oid it had when it was dumped',
        `ALTER TABLE ag_catalog.ag_label DROP CONSTRAINT fk_graph_oid;
         UPDATE ag_catalog.ag_graph SET graphid = 4242 WHERE name = 'first'; UPDATE ag_catalog.ag_label SET graph = 4242 WHERE name = 'Person'`,
        ['GRAPH_CATALOG'],
      ],
      [
        'a view has the oid of another database',
        `CREATE OR REPLACE VIEW people AS SELECT '"x"'::agtype AS n, ag_catalog._label_name('4242'::oid, '1'::agtype::graphid)::text::agtype AS name`,
        ['STALE_GRAPH_OID'],
      ],
    ];
    test.each(damages)('%s', async (_, change, codes) => {
      await connected(copy, (query) => query(change));
      const found = await verifyDatabase(copy, saved.manifest);
      const seen = [...new Set(found.map(({ code }) => code as string))];
      expect(seen).toEqual(expect.arrayContaining(codes));
      expect(found.every(({ isInherited }) => !isInherited)).toBe(true);
    });
  });
});

/** About 40 MB of rows that can't be compressed, in two tables: tens of chunks. */
const BULK = `
CREATE TABLE left_rows AS SELECT i AS id, (SELECT string_agg(sha512((i * 100 + k)::text::bytea)::text, '') FROM generate_series(1, 8) k) AS s
  FROM generate_series(1, 20000) i;
CREATE TABLE right_rows AS SELECT * FROM left_rows;
CREATE TABLE small (id int); INSERT INTO small VALUES (1), (2);`;

describe('when something goes wrong', () => {
  let original: ConnectionSettings;
  let saved: Dump;
  beforeAll(async () => {
    original = await emptyDatabase(source);
    await fill(original, BULK);
    saved = await dump(original);
  });

  const ours =
    "FROM pg_stat_activity WHERE application_name = 'kg-operator backup' AND datname = current_database()";
  const expectNobodyLeft = (settings: ConnectionSettings) =>
    until('our sessions have ended', () =>
      connected(settings, async (query) => (await query(`SELECT ${ours}`)).length === 0),
    );
  /** Takes members, and does something at the n-th. */
  const sinkThat = (number: number, act: () => Promise<unknown>) => {
    let seen = 0;
    return {
      async member() {
        if (++seen === number) await act();
      },
    };
  };

  test.each([
    ['the connection that holds the snapshot', 'ORDER BY backend_start LIMIT 1'],
    ['a connection that reads', 'ORDER BY backend_start DESC LIMIT 1'],
    ['every connection', ''],
  ])('%s is ended during a dump: it fails', async (_, which) => {
    const end = () =>
      connected(original, (query) =>
        query(`SELECT pg_terminate_backend(pid) FROM (SELECT pid ${ours} ${which}) s`),
      );
    await expect(dumpDatabase(original, sinkThat(4, end))).rejects.toMatchObject({
      code: 'DUMP_FAILED',
      exitCode: 9,
    });
    await expectNobodyLeft(original);
  });

  test('the sink fails: the dump fails with its error', async () => {
    const full = async () => {
      throw new Error('no space left');
    };
    await expect(dumpDatabase(original, sinkThat(5, full))).rejects.toMatchObject({
      cause: { message: 'no space left' },
    });
    await expectNobodyLeft(original);
  });

  test.each([1, 2, 4, 10])('it is called off at member %i of a dump: nobody is left', async (number) => {
    const stop = new AbortController();
    const reason = new Error('called off');
    const abort = async () => stop.abort(reason);
    await expect(dumpDatabase(original, sinkThat(number, abort), { signal: stop.signal })).rejects.toBe(
      reason,
    );
    await expectNobodyLeft(original);
  });

  async function* damaged(change: (members: DumpMember[]) => DumpMember[]): AsyncGenerator<DumpMember> {
    yield* change(saved.members.map((member) => ({ ...member })));
  }
  const at = (members: DumpMember[], name: string) => members.findIndex((member) => member.name === name);
  const without = (name: string) => (members: DumpMember[]) =>
    members.filter((member) => member.name !== name);
  const cases: [string, (members: DumpMember[]) => DumpMember[]][] = [
    ['nothing at all', () => []],
    ['no schema', without(PRE_DATA)],
    ['no schema after the data', without(POST_DATA)],
    ['the first chunk is missing', without(chunkName(0))],
    ['a chunk in the middle is missing', without(chunkName(6))],
    ['the end is missing', (members) => members.slice(0, 7)],
    ['the last chunk is missing', (members) => members.slice(0, -2)],
    [
      'a chunk comes twice',
      (members) => members.flatMap((member) => (member.name === chunkName(3) ? [member, member] : [member])),
    ],
    [
      'two chunks have changed places',
      (members) => {
        const [a, b] = [members[at(members, chunkName(2))], members[at(members, chunkName(5))]] as [
          DumpMember,
          DumpMember,
        ];
        [a.bytes, b.bytes] = [b.bytes, a.bytes];
        return members;
      },
    ],
    [
      'a bit of a chunk differs',
      (members) => {
        const member = members[at(members, chunkName(4))] as DumpMember;
        member.bytes = Buffer.from(member.bytes);
        member.bytes[1_000_000] = (member.bytes[1_000_000] as number) ^ 4;
        return members;
      },
    ],
    [
      'a chunk is cut short',
      (members) => {
        const member = members[at(members, chunkName(4))] as DumpMember;
        member.bytes = member.bytes.subarray(0, -100);
        return members;
      },
    ],
  ];
  test.each(cases)('a load of a dump where %s fails', async (_, change) => {
    const into = await emptyDatabase(target);
    await expect(loadDatabase(into, damaged(change), saved.manifest)).rejects.toMatchObject({
      // Half a row may be refused by the server before the hash is known.
      code: expect.stringMatching(/^(BACKUP_DAMAGED|LOAD_FAILED)$/),
    });
    await expectNobodyLeft(into);
  });

  test.each<[string, (table: DatabaseManifest['tables'][number]) => void]>([
    ['another hash', (table) => Object.assign(table, { sha256: '0'.repeat(64) })],
    ['more rows', (table) => Object.assign(table, { rows: table.rows + 1 })],
    ['fewer bytes', (table) => Object.assign(table, { bytes: table.bytes - 1 })],
    ['more bytes', (table) => Object.assign(table, { bytes: table.bytes + 1 })],
    ['a chunk of another table', (table) => Object.assign(table, { chunks: [...table.chunks, 0] })],
    ['no chunks', (table) => Object.assign(table, { chunks: [] })],
  ])('a load with a manifest that has %s fails, and no row of that table is there', async (_, change) => {
    const manifest = structuredClone(saved.manifest);
    change(manifest.tables.find(({ name }) => name === 'small') as DatabaseManifest['tables'][number]);
    const into = await emptyDatabase(target);
    await expect(loadDatabase(into, from(saved.members), manifest)).rejects.toMatchObject({
      code: 'BACKUP_DAMAGED',
    });
    const rows = await connected(into, (query) =>
      query(
        "SELECT pg_relation_size(to_regclass('small')) AS size WHERE pg_relation_size(to_regclass('small')) > 0",
      ),
    );
    expect(rows).toEqual([]);
  });

  const during = async function* (number: number, act: () => Promise<unknown>) {
    for (const [index, member] of saved.members.entries()) {
      if (index === number) await act();
      yield member;
    }
  };

  test.each([5, 12])('the connections are ended at member %i of a load: it fails', async (number) => {
    const into = await emptyDatabase(target);
    const end = () => connected(into, (query) => query(`SELECT pg_terminate_backend(pid) ${ours}`));
    await expect(loadDatabase(into, during(number, end), saved.manifest)).rejects.toMatchObject({
      code: 'LOAD_FAILED',
      exitCode: 9,
    });
    await expectNobodyLeft(into);
  });

  test.each([0, 1, 5, 12])('a load is called off at member %i: nobody is left', async (number) => {
    const into = await emptyDatabase(target);
    const stop = new AbortController();
    const reason = new Error('called off');
    await expect(
      loadDatabase(
        into,
        during(number, async () => stop.abort(reason)),
        saved.manifest,
        { signal: stop.signal },
      ),
    ).rejects.toBe(reason);
    await expectNobodyLeft(into);
  });

  test('the source of a load fails: the load fails with its error', async () => {
    const into = await emptyDatabase(target);
    const fail = async () => {
      throw new Error('unreadable');
    };
    await expect(loadDatabase(into, during(6, fail), saved.manifest)).rejects.toMatchObject({
      cause: { message: 'unreadable' },
    });
    await expectNobodyLeft(into);
  });

  test('constraints that the rows do not meet fail the load', async () => {
    const broken = await emptyDatabase(source);
    await fill(
      broken,
      `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a int REFERENCES a);
       SET session_replication_role = replica; INSERT INTO b VALUES (1);`,
    );
    const { members, manifest } = await dump(broken);
    const into = await emptyDatabase(target);
    await expect(loadDatabase(into, from(members), manifest)).rejects.toMatchObject({
      code: 'POSTGRESQL_CLIENT_FAILED',
      message: expect.stringContaining('foreign key'),
    });
  });
});

describe('what is refused', () => {
  test.each([
    ['large objects', `SELECT lo_from_bytea(0, 'x');`, 'large objects'],
    [
      'a table in partitions by the hash of an enum',
      `CREATE TYPE e AS ENUM ('a'); CREATE TABLE parted (e e) PARTITION BY HASH (e);`,
      'parted',
    ],
    [
      'a view over cypher() whose columns have other names than what it returns',
      `CREATE EXTENSION age; SELECT create_graph('some');
       CREATE VIEW renamed AS SELECT * FROM cypher('some', $$ MATCH (n) RETURN count(*) AS c $$) AS (number agtype);`,
      'public.renamed',
    ],
  ])('to dump %s', async (_, script, named) => {
    const settings = await emptyDatabase(source);
    await fill(settings, script);
    await expect(dump(settings)).rejects.toMatchObject({
      code: 'BACKUP_UNSUPPORTED',
      exitCode: 3,
      message: expect.stringContaining(named),
      hint: expect.any(String),
    });
  });

  test.each<[string, Partial<DatabaseManifest>, string]>([
    ['of a later PostgreSQL', { serverVersion: 990001 }, 'PostgreSQL 99'],
    [
      'with an extension that is not installed',
      { extensions: [{ name: 'postgis', version: '3' }] },
      'postgis',
    ],
    ['with a later extension', { extensions: [{ name: 'age', version: '99.1' }] }, 'age 99.1'],
    ['in another encoding', { encoding: 'LATIN1' }, 'LATIN1'],
  ])('to load a dump %s', async (_, change, named) => {
    const { members, manifest } = await dump(await emptyDatabase(source));
    const into = await emptyDatabase(target);
    await expect(loadDatabase(into, from(members), { ...manifest, ...change })).rejects.toMatchObject({
      code: 'RESTORE_IMPOSSIBLE',
      exitCode: 3,
      message: expect.stringContaining(named),
    });
  });

  test.each(['CREATE TABLE there (id int);', 'CREATE SCHEMA there;', 'CREATE EXTENSION age;'])(
    'to load into a database that is not empty: %s',
    async (script) => {
      const { members, manifest } = await dump(await emptyDatabase(source));
      const into = await emptyDatabase(target);
      await fill(into, script);
      await expect(loadDatabase(into, from(members), manifest)).rejects.toMatchObject({
        code: 'RESTORE_IMPOSSIBLE',
      });
    },
  );
});

test('an empty database is dumped and loaded', async () => {
  const { members, manifest } = await dump(await emptyDatabase(source));
  const into = await emptyDatabase(target);
  await loadDatabase(into, from(members), manifest);
  expect(await verifyDatabase(into, manifest)).toEqual([]);
});

test('a dump is one moment, while others write and want to alter tables', async () => {
  const settings = await emptyDatabase(source);
  await fill(
    settings,
    `${BULK} CREATE TABLE account (id int PRIMARY KEY, value int); INSERT INTO account VALUES (1, 500), (2, 500);
     CREATE TABLE log (id bigserial PRIMARY KEY, account int, value int);`,
  );
  let isOver = false;
  let transfers = 0;
  const writer = connected(settings, async (query) => {
    while (!isOver) {
      await query(`BEGIN; UPDATE account SET value = value - 1 WHERE id = 1; INSERT INTO log (account, value) VALUES (1, -1);
        UPDATE account SET value = value + 1 WHERE id = 2; INSERT INTO log (account, value) VALUES (2, 1); COMMIT`);
      transfers++;
    }
  });
  let altered: Promise<unknown> | undefined;
  const members: DumpMember[] = [];
  while (transfers === 0) await sleep(10); // on a busy machine the writer may need a while
  const before = transfers;
  const manifest = await dumpDatabase(settings, {
    async member(name, bytes) {
      members.push({ name, bytes });
      if (members.length === 4)
        altered = connected(settings, (query) => query('ALTER TABLE small ADD COLUMN late int'));
    },
  });
  expect(transfers).toBeGreaterThan(before);
  isOver = true;
  await writer;
  await altered;

  const into = await emptyDatabase(target);
  await loadDatabase(into, from(members), manifest);
  expect(await verifyDatabase(into, manifest)).toEqual([]);
  const [sums] = await connected(into, (query) =>
    query(`SELECT (SELECT sum(value)::int FROM account) AS total, (SELECT value FROM account WHERE id = 2) - 500 AS moved,
      (SELECT count(*)::int FROM log WHERE account = 2) AS logged, (SELECT max(id) FROM log) <= (SELECT last_value FROM log_id_seq) AS ahead,
      (SELECT count(*)::int FROM information_schema.columns WHERE table_name = 'small') AS columns`),
  );
  const { moved, logged } = sums as { moved: number; logged: number };
  expect(sums).toMatchObject({ total: 1000, ahead: true, columns: 1 });
  expect(logged).toBe(moved);
  expect(moved).toBeGreaterThan(0);
});
