import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { MigrationSession } from '../../src/database/session.ts';
import { type Migration, readMigrations, toMigration } from '../../src/migrations/files.ts';
import { readLedger } from '../../src/migrations/ledger.ts';
import { migrate } from '../../src/migrations/migrate.ts';
import { OperatorError } from '../../src/model/errors.ts';

/** An empty database; `close` also removes it. */
export interface EmptyDatabase {
  session: MigrationSession;
  close(): Promise<void>;
}

export const migration = (id: string, sql: string, verify: string | null = null): Migration =>
  toMigration(id, sql, verify);

export const tablesOf = async (session: MigrationSession): Promise<string[]> => {
  const rows = await session.query<{ name: string }>(
    "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
  );
  return rows.map(({ name }) => name);
};

/** What migrations do on any PostgreSQL that the platform runs on: the embedded one and the image's. */
export function migrationContract(name: string, open: () => Promise<EmptyDatabase>): void {
  describe(`migrate, on ${name}`, () => {
    let database: EmptyDatabase;
    beforeEach(async () => {
      database = await open();
    });
    afterEach(() => database.close());

    const run = async (migrations: Migration[]) =>
      (await migrate(database.session, migrations, { engineVersion: '1.2.3' })).map(({ id }) => id);

    test("applies the platform's own migrations, and a second run applies none", async () => {
      const migrations = await readMigrations();
      expect(await run(migrations)).toEqual(migrations.map(({ id }) => id));
      expect(await run(migrations)).toEqual([]);
      const ledger = await readLedger(database.session);
      expect(
        ledger.map(({ id, checksum, kind, engine_version }) => ({ id, checksum, kind, engine_version })),
      ).toEqual(
        migrations.map(({ id, checksum, kind }) => ({ id, checksum, kind, engine_version: '1.2.3' })),
      );
      const [graph] = await database.session.query<{ name: string }>(
        'SELECT name::text FROM ag_catalog.ag_graph',
      );
      expect(graph).toEqual({ name: 'knowledge' });
    });

    test('a failing file leaves nothing of itself, keeps what came before, and names file and line', async () => {
      const bad = migration(
        '0002_bad',
        '-- kind: expand\nCREATE TABLE second (id int);\nINSERT INTO nowhere VALUES (1);\n',
      );
      const failure = await run([migration('0001_good', 'CREATE TABLE first (id int);'), bad]).catch(
        (error) => error,
      );
      expect(failure).toBeInstanceOf(OperatorError);
      expect(failure).toMatchObject({ code: 'MIGRATION_FAILED', exitCode: 8 });
      expect(failure.message).toMatch(/^schema\/migrations\/0002_bad\.sql:3:13: .*nowhere/);
      expect((await readLedger(database.session)).map(({ id }) => id)).toEqual(['0001_good']);
      expect(await tablesOf(database.session)).toEqual(['first']);
    });

    test('after the file is mended, the rest is applied', async () => {
      const good = migration('0001_good', 'CREATE TABLE first (id int);');
      await run([good, migration('0002_second', 'CREATE TABL second (id int);')]).catch(() => undefined);
      expect(await run([good, migration('0002_second', 'CREATE TABLE second (id int);')])).toEqual([
        '0002_second',
      ]);
      expect(await tablesOf(database.session)).toEqual(['first', 'second']);
    });

    test('refuses a database that a newer engine migrated', async () => {
      await run([migration('0001_a', 'SELECT 1;'), migration('0002_b', 'SELECT 1;')]);
      await expect(run([migration('0001_a', 'SELECT 1;')])).rejects.toMatchObject({
        code: 'SCHEMA_NEWER',
        message: expect.stringContaining('0002_b'),
      });
    });

    test('refuses when an applied file has changed, by name, and applies nothing', async () => {
      await run([migration('0001_a', 'SELECT 1;')]);
      await expect(
        run([migration('0001_a', 'SELECT 2;'), migration('0002_b', 'CREATE TABLE second (id int);')]),
      ).rejects.toMatchObject({ code: 'MIGRATION_CHANGED', message: expect.stringContaining('0001_a.sql') });
      expect(await tablesOf(database.session)).toEqual([]);
    });
  });
}
