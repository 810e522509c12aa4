import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { ConnectionSettings } from '@kg-operator/config';
import type { DatabaseManifest, DumpMember } from '../../src/backup/format.ts';
import { databaseLoader } from '../../src/backup/loader.ts';
import type { BundleManifest } from '../../src/backup/make.ts';
import { dumpPortable } from '../../src/backup/portable-dump.ts';
import { type EmbeddedServer, openServer } from '../../src/database/embedded-server.ts';
import {
  execute,
  fillPortable,
  type MigrationsFolder,
  migrationsFolder,
  readAll,
} from '../portable-contents.ts';

jest.setTimeout(180_000);

const HEAD = '0102_late_label';
const signal = new AbortController().signal;

interface Dump {
  database: DatabaseManifest;
  members: DumpMember[];
}

async function dump(settings: ConnectionSettings): Promise<Dump> {
  const members: DumpMember[] = [];
  const database = await dumpPortable(settings, {
    async member(name, bytes) {
      members.push({ name, bytes });
    },
  });
  // As it is stored: what JSON does not keep is not there when it is loaded.
  return { database: JSON.parse(JSON.stringify(database)), members };
}

let scratch: string;
let migrations: MigrationsFolder;
let original: EmbeddedServer;
let saved: Dump;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'kg-portable-'));
  migrations = await migrationsFolder();
  process.env.KG_MIGRATIONS_DIR = migrations.folder;
  original = await emptyServer();
  await fillPortable(original.connection);
  saved = await dump(original.connection);
});
afterAll(async () => {
  delete process.env.KG_MIGRATIONS_DIR;
  await original?.close();
  await migrations?.remove();
  await rm(scratch, { recursive: true });
});

const emptyServer = () => openServer(join(scratch, randomBytes(4).toString('hex')), { durable: false });

async function load(server: EmbeddedServer, { database, members }: Dump, schemaHead: string | null = HEAD) {
  const manifest = { database, schemaHead, members: {} } as BundleManifest & { members: object };
  const loader = databaseLoader(manifest as never, { database: server }, 'test');
  await loader.load(from(members), { signal });
  return loader;
}

async function* from(members: DumpMember[]): AsyncGenerator<DumpMember> {
  yield* members;
}

describe('rows of an embedded database, loaded into another', () => {
  let restored: EmbeddedServer;
  let verify: () => Promise<{ code: string; message: string }[]>;
  beforeAll(async () => {
    restored = await emptyServer();
    const loader = await load(restored, saved);
    verify = () => loader.verify(signal);
  });
  afterAll(() => restored?.close());

  test('verification finds nothing, the second time neither', async () => {
    expect(await verify()).toEqual([]);
    expect(await verify()).toEqual([]);
  });

  test('every row, vertex and edge reads the same', async () => {
    const [before, after] = [await readAll(original.connection), await readAll(restored.connection)];
    expect(before['vertices of knowledge']?.length).toBeGreaterThan(2000);
    expect(before['edges of Second-graph.v2']).toHaveLength(1);
    expect(before['"odd schema"."tab ""le"']?.length).toBeGreaterThan(2000);
    expect(after).toEqual(before);
  });

  test('it can be dumped again, with the same sums', async () => {
    const again = await dump(restored.connection);
    const comparable = ({ tables, graphs, ...manifest }: DatabaseManifest) => ({
      ...manifest,
      tables: tables.map(({ chunks: _, ...table }) => table).sort((a, b) => (a.name < b.name ? -1 : 1)),
      graphs: graphs.map(({ oid: _, ...graph }) => graph),
    });
    expect(comparable(again.database)).toEqual(comparable(saved.database));
  });

  test('verification finds every change', async () => {
    const server = await emptyServer();
    try {
      const loader = await load(server, saved);
      await execute(server.connection, [
        'UPDATE parent SET child = NULL WHERE id = 1',
        `SELECT * FROM cypher('knowledge', $$ MATCH (n:Thing) SET n.x = 1 $$) AS (r agtype)`,
        `SELECT * FROM cypher('Second-graph.v2', $$ CREATE (:B) $$) AS (r agtype)`,
        `SELECT create_vlabel('hollow', 'New')`,
        `SELECT nextval('child_id_seq')`,
        'DROP INDEX knowledge.relation_once',
        'CREATE TABLE extra ()',
      ]);
      const found = await loader.verify(signal);
      const expected: [string, RegExp][] = [
        ['ROWS_DIFFER', /public\.parent read back/],
        ['ROWS_DIFFER', /knowledge\.Thing read back/],
        ['ROWS_DIFFER', /Second-graph\.v2\.B has 2 rows, 1 were saved/],
        ['GRAPH_CATALOG', /hollow/],
        ['SEQUENCE_DIFFERS', /child_id_seq/],
        ['OBJECTS_DIFFER', /index knowledge\.relation_once/],
        ['TABLE_EXTRA', /public\.extra/],
      ];
      for (const [code, message] of expected)
        expect(found).toContainEqual({ code, message: expect.stringMatching(message), isInherited: false });
    } finally {
      await server.close();
    }
  });

  test('new vertices, edges, labels and rows work, and get ids that are new', async () => {
    const cypher = (query: string) =>
      execute<{ id: string }>(restored.connection, [
        `SELECT id FROM cypher('knowledge', $$ ${query} $$) AS (id agtype)`,
      ]);
    const before = await cypher('MATCH (n) RETURN id(n)');
    const made = await cypher(
      'CREATE (a:Many)-[:NEXT]->(b:Fresh), (c:Late), (d:Early) WITH [a, b, c, d] AS made UNWIND made AS n RETURN id(n)',
    );
    expect(new Set([...before, ...made].map(({ id }) => id)).size).toBe(before.length + 4);
    const [row] = await execute<{ id: string }>(restored.connection, [
      `INSERT INTO "odd schema"."tab ""le" (s) VALUES ('new') RETURNING id`,
    ]);
    expect(Number(row?.id)).toBeGreaterThan(20_000);
    await expect(execute(restored.connection, ['INSERT INTO child (parent) VALUES (99)'])).rejects.toThrow(
      'foreign key',
    );
    await expect(execute(restored.connection, ['DELETE FROM child'])).rejects.toThrow('not by triggers');
  });
});

describe('what can not be loaded is refused, and says why', () => {
  let target: EmbeddedServer | undefined;
  afterEach(async () => {
    await target?.close();
    target = undefined;
  });

  test('what no migration makes, all of it', async () => {
    target = await emptyServer();
    const { schema } = saved.database;
    const extra = ['table public.notes', 'index public.by_name', 'extension vector'];
    const database = {
      ...saved.database,
      schema: [...schema.filter((line) => !line.includes('disabled_at')), ...extra],
      roles: ['reader'],
    };
    const refused = await load(target, { ...saved, database }).catch((error) => error);
    expect(refused).toMatchObject({ code: 'RESTORE_IMPOSSIBLE', exitCode: 3 });
    const text = [refused.message, ...refused.details].join('\n');
    for (const line of [...extra, 'role reader', 'column kg_api.users.disabled_at'])
      expect(text).toContain(line);
  });

  test('a graph that was dropped', async () => {
    target = await emptyServer();
    const graphs = saved.database.graphs.filter(({ name }) => name !== 'knowledge');
    await expect(load(target, { ...saved, database: { ...saved.database, graphs } })).rejects.toMatchObject({
      code: 'RESTORE_IMPOSSIBLE',
      message: expect.stringContaining('the graph knowledge'),
    });
  });

  test('a schema that is not known', async () => {
    target = await emptyServer();
    await expect(load(target, saved, '9999_future')).rejects.toMatchObject({
      code: 'RESTORE_IMPOSSIBLE',
      message: expect.stringContaining('9999_future'),
    });
  });

  test.each<[string, (members: DumpMember[]) => DumpMember[]]>([
    [
      'changed',
      (members) =>
        members.map((member, n) => (n === 3 ? { ...member, bytes: flipped(member.bytes) } : member)),
    ],
    ['missing', (members) => members.filter((_, n) => n !== 2)],
  ])('a member that is %s', async (_what, change) => {
    target = await emptyServer();
    await expect(load(target, { ...saved, members: change(saved.members) })).rejects.toMatchObject({
      code: 'BACKUP_DAMAGED',
    });
  });
});

function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const at = copy.length >> 1;
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
}
