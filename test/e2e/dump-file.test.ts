import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type ConnectionSettings, poolConfig } from '@kg-operator/config';
import pg from 'pg';
import { dumpDatabase } from '../../packages/engine/src/backup/database-dump.ts';
import { loadDatabase } from '../../packages/engine/src/backup/database-load.ts';
import { runProgram } from '../../packages/engine/src/backup/database-programs.ts';
import { createRoles } from '../../packages/engine/src/backup/database-restore.ts';
import { verifyDatabase } from '../../packages/engine/src/backup/database-verify.ts';
import { recogniseFile } from '../../packages/engine/src/backup/dump-file.ts';
import { loadDump } from '../../packages/engine/src/backup/dump-load.ts';
import type { DatabaseManifest, DumpMember } from '../../packages/engine/src/backup/format.ts';
import { ensureImage } from './images.ts';
import { MESSY } from './messy-database.ts';
import { type PostgresServer, startPostgres } from './postgres.ts';
import { usePostgresClient } from './postgres-client.ts';

jest.setTimeout(300_000);

let source: PostgresServer;
let trial: PostgresServer;
let removeClient: () => Promise<void>;
let original: ConnectionSettings;
let folder: string;
const { signal } = new AbortController();

beforeAll(async () => {
  const image = await ensureImage('postgres');
  removeClient = await usePostgresClient(image);
  [source, trial] = await Promise.all([startPostgres(image), startPostgres(image)]);
  folder = await mkdtemp(join(tmpdir(), 'kge2e-dump-'));
  original = (await source.createDatabase()).settings;
  await runProgram('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', '-'], {
    settings: original,
    input: `SET search_path = public, ag_catalog;\n${MESSY}`,
  });
  const client = new pg.Client(poolConfig(trial.settings));
  await client.connect();
  await createRoles(client, ['messy "owner"', 'messy_reader']);
  await client.end();
});
afterAll(async () => {
  await Promise.all([source?.close(), trial?.close(), removeClient?.()]);
  if (folder) await rm(folder, { recursive: true, force: true });
});

async function query<Row extends pg.QueryResultRow>(
  settings: ConnectionSettings,
  sql: string,
): Promise<Row[]> {
  const client = new pg.Client(poolConfig(settings));
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}

const dumpOf = (settings: ConnectionSettings, ...options: string[]) =>
  runProgram('pg_dump', options, { settings });

async function file(name: string, content: Buffer | string) {
  const path = join(folder, name);
  await writeFile(path, content);
  const found = await recogniseFile(path);
  if (!found) throw new Error(`${name} is taken for a bundle`);
  return found;
}

async function load(name: string, content: Buffer | string): Promise<ConnectionSettings> {
  const { settings } = await trial.createDatabase();
  await loadDump(settings, await file(name, content), signal);
  return settings;
}

async function dump(settings: ConnectionSettings) {
  const members: DumpMember[] = [];
  const sink = { member: async (name: string, bytes: Buffer) => void members.push({ name, bytes }) };
  return { manifest: await dumpDatabase(settings, sink), members };
}

async function* from(members: DumpMember[]): AsyncGenerator<DumpMember> {
  yield* members;
}

const contents = ({ tables, graphs, sequences, objects }: DatabaseManifest) => ({
  sequences,
  objects,
  tables: tables.map(({ schema, name, rows, sha256 }) => `${schema}.${name} ${rows} ${sha256}`).sort(),
  graphs: graphs.map(({ oid: _oid, ...graph }) => graph),
});

describe('a database with all that makes dumps difficult, through every format of pg_dump', () => {
  let saved: DatabaseManifest;
  beforeAll(async () => {
    ({ manifest: saved } = await dump(original));
  });

  test.each([
    ['plain', ['-Fp'], (bytes: Buffer) => bytes],
    ['plain, gzip', ['-Fp'], gzipSync],
    ['plain, zstd', ['-Fp'], zstdCompressSync],
    ['custom', ['-Fc'], (bytes: Buffer) => bytes],
    ['custom, with --create', ['-Fc', '--create'], (bytes: Buffer) => bytes],
    ['tar', ['-Ft'], (bytes: Buffer) => bytes],
  ])(
    '%s: loaded, and read out again, it is the same, and every graph answers',
    async (name, options, pack) => {
      const loaded = await load(name, pack(await dumpOf(original, ...options)) as Buffer);
      const { manifest, members } = await dump(loaded);
      expect(contents(manifest)).toEqual(contents(saved));
      // AGE's catalog in the loaded database has the numbers of the other one; the restore builds it anew.
      const { settings: restored } = await trial.createDatabase();
      await loadDatabase(restored, from(members), manifest);
      expect(await verifyDatabase(restored, manifest)).toEqual([]);
    },
  );
});

describe('a file that is not to be trusted', () => {
  const HEAD = '--\n-- PostgreSQL database dump\n--\n\n';
  const TAIL = '\n--\n-- PostgreSQL database dump complete\n--\n';
  const refusal = async (content: string | Buffer) => {
    try {
      await load('evil.sql', content);
    } catch (error) {
      return error;
    }
    throw new Error('it was loaded');
  };

  test.each([
    ['a shell', '\\! touch /tmp/kg-was-here'],
    ['another database', '\\connect postgres'],
    ['a file that is written', '\\o /tmp/kg-was-here'],
    ['a pipe', 'SELECT 1 \\g |touch /tmp/kg-was-here'],
    ['a file that is read', '\\i /etc/passwd'],
    ['a copy', "\\copy (SELECT 1) TO PROGRAM 'touch /tmp/kg-was-here'"],
    ['the way out, without the key', '\\unrestrict Abc123\n\\! id'],
    ['a restriction of its own', '\\restrict Abc123\n\\unrestrict Abc123\n\\! id'],
  ])('psql runs none of its own commands: %s', async (_name, line) => {
    expect(await refusal(`${HEAD}\nSELECT 1;\n${line}\n${TAIL}`)).toMatchObject({
      code: 'DUMP_UNSAFE',
      exitCode: 3,
      message: expect.stringMatching(/^line 7 of evil\.sql/),
    });
  });

  test('even as the first line after the comments, behind \\restrict of its own', async () => {
    expect(await refusal(`${HEAD}\\restrict Abc\n\\unrestrict Abc\n\\! id\n${TAIL}`)).toMatchObject({
      code: 'DUMP_UNSAFE',
    });
  });

  test('a script of pg_dump --create is refused, and said so', async () => {
    expect(await refusal(await dumpOf(original, '--create'))).toMatchObject({
      code: 'DUMP_UNSAFE',
      message: expect.stringContaining('--create'),
      hint: expect.stringContaining('without --create'),
    });
  });

  test('a role that is not here is named, with the way to make it', async () => {
    expect(
      await refusal(`${HEAD}CREATE TABLE t ();\nALTER TABLE t OWNER TO "bob b";\n${TAIL}`),
    ).toMatchObject({
      code: 'DUMP_ROLE_MISSING',
      exitCode: 3,
      message: 'evil.sql gives things to the role "bob b", which is not here',
      hint: expect.stringContaining('CREATE ROLE "bob b" NOLOGIN'),
    });
  });

  test('nothing is left of a script that fails in its last line', async () => {
    const { settings } = await trial.createDatabase();
    const script = await file('fails.sql', `${HEAD}CREATE TABLE t ();\nSELECT 1/0;\n${TAIL}`);
    await expect(loadDump(settings, script, signal)).rejects.toMatchObject({
      code: 'DUMP_NOT_LOADABLE',
      exitCode: 3,
      message: expect.stringContaining('division by zero'),
    });
    expect(await query(settings, "SELECT FROM pg_tables WHERE schemaname = 'public'")).toEqual([]);
  });

  test('rows that look like commands are rows', async () => {
    const { settings } = await source.createDatabase();
    const value = '\restrict Abc123';
    await query(settings, 'CREATE TABLE t (v text)');
    await query(
      settings,
      `INSERT INTO t VALUES (E'\\restrict Abc123'), (E'\\\\! id'), (E'a\\n\\\\connect postgres\\n')`,
    );
    const loaded = await load('rows.sql', await dumpOf(settings));
    expect(await query(loaded, 'SELECT v FROM t')).toEqual([
      { v: value },
      { v: '\\! id' },
      { v: 'a\n\\connect postgres\n' },
    ]);
  });

  test('an archive cut short, and a script cut short between two statements', async () => {
    const archive = await dumpOf(original, '-Fc');
    expect(await refusal(archive.subarray(0, archive.length - 2000))).toMatchObject({ exitCode: 3 });
    const text = (await dumpOf(original)).toString();
    const cut = text.slice(0, text.lastIndexOf('-- Name:') - 4);
    expect(await refusal(cut)).toMatchObject({ code: 'DUMP_TRUNCATED', exitCode: 3 });
  });
});
