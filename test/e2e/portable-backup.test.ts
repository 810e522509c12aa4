import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { ConnectionSettings } from '@kg-operator/config';
import { dumpDatabase } from '../../packages/engine/src/backup/database-dump.ts';
import {
  type DatabaseManifest,
  type DumpMember,
  type DumpSink,
  PRE_DATA,
} from '../../packages/engine/src/backup/format.ts';
import { databaseLoader } from '../../packages/engine/src/backup/loader.ts';
import { dumpPortable } from '../../packages/engine/src/backup/portable-dump.ts';
import { type EmbeddedServer, openServer } from '../../packages/engine/src/database/embedded-server.ts';
import {
  execute,
  fillPortable,
  type MigrationsFolder,
  migrationsFolder,
  readAll,
} from '../../packages/engine/test/portable-contents.ts';
import { ensureImage } from './images.ts';
import { type PostgresServer, startPostgres } from './postgres.ts';
import { usePostgresClient } from './postgres-client.ts';

jest.setTimeout(300_000);

const signal = new AbortController().signal;
let scratch: string;
let migrations: MigrationsFolder;
let server: PostgresServer;
let removeClient: () => Promise<void>;
const opened: EmbeddedServer[] = [];
beforeAll(async () => {
  const image = await ensureImage('postgres');
  removeClient = await usePostgresClient(image);
  server = await startPostgres(image);
  scratch = await mkdtemp(join(tmpdir(), 'kg-portable-'));
  migrations = await migrationsFolder();
  process.env.KG_MIGRATIONS_DIR = migrations.folder;
});
afterAll(async () => {
  delete process.env.KG_MIGRATIONS_DIR;
  for (const database of opened) await database.close();
  await server?.close();
  await removeClient?.();
  await migrations?.remove();
  if (scratch) await rm(scratch, { recursive: true });
});

interface Dump {
  database: DatabaseManifest;
  members: DumpMember[];
}

async function collected(dump: (sink: DumpSink) => Promise<DatabaseManifest>): Promise<Dump> {
  const members: DumpMember[] = [];
  const database = await dump({
    async member(name, bytes) {
      members.push({ name, bytes });
    },
  });
  return { database: JSON.parse(JSON.stringify(database)), members };
}

async function* from(members: DumpMember[]): AsyncGenerator<DumpMember> {
  yield* members;
}

async function load(
  target: { connection: ConnectionSettings } | EmbeddedServer,
  { database, members }: Dump,
) {
  const manifest = {
    database,
    schemaHead: '0102_late_label',
    members: Object.fromEntries(members.map(({ name }) => [name, {}])),
  };
  const loader = databaseLoader(manifest as never, { database: target }, 'test');
  await loader.load(from(members), { signal });
  return loader;
}

async function embedded(): Promise<EmbeddedServer> {
  const made = await openServer(join(scratch, randomBytes(4).toString('hex')), { durable: false });
  opened.push(made);
  return made;
}

describe.each<[string, () => Promise<ConnectionSettings>, (from: ConnectionSettings) => Promise<Dump>]>([
  [
    'an embedded database',
    async () => (await embedded()).connection,
    (settings) => collected((sink) => dumpPortable(settings, sink)),
  ],
  [
    'PostgreSQL 17, by pg_dump',
    async () => (await server.createDatabase()).settings,
    (settings) => collected((sink) => dumpDatabase(settings, sink)),
  ],
  [
    'PostgreSQL 17, without pg_dump',
    async () => (await server.createDatabase()).settings,
    (settings) => collected((sink) => dumpPortable(settings, sink)),
  ],
])('from %s', (name, open, dump) => {
  let original: ConnectionSettings;
  let saved: Dump;
  beforeAll(async () => {
    original = await open();
    await fillPortable(original);
    saved = await dump(original);
    expect(saved.members.some((member) => member.name === PRE_DATA)).toBe(name.includes('by pg_dump'));
  });

  test.each<[string, () => Promise<{ connection: ConnectionSettings } | EmbeddedServer>]>([
    ['an embedded database', embedded],
    ['PostgreSQL 17', async () => ({ connection: (await server.createDatabase()).settings })],
  ])('into %s: verified, reads the same, and takes writes', async (_into, target) => {
    const restored = await target();
    const loader = await load(restored, saved);
    expect(await loader.verify(signal)).toEqual([]);
    const [before, after] = [await readAll(original), await readAll(restored.connection)];
    expect(before['vertices of knowledge']?.length).toBeGreaterThan(2000);
    expect(after).toEqual(before);
    const cypher = (query: string) =>
      execute<{ id: string }>(restored.connection, [
        `SELECT id FROM cypher('knowledge', $$ ${query} $$) AS (id agtype)`,
      ]);
    const ids = await cypher('MATCH (n) RETURN id(n)');
    const made = await cypher(
      'CREATE (a:Many)-[:NEXT]->(b:Fresh), (c:Late), (d:Early) WITH [a, b, c, d] AS made UNWIND made AS n RETURN id(n)',
    );
    expect(new Set([...ids, ...made].map(({ id }) => id)).size).toBe(ids.length + 4);
    await expect(execute(restored.connection, ['DELETE FROM child'])).rejects.toThrow('not by triggers');
  });
});
