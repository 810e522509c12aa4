import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { assertHistoryFits, migrate, readLedger } from '../../src/database/migrate.ts';
import { type Migration, readMigrations } from '../../src/database/migration-files.ts';
import { OperatorError } from '../../src/model/errors.ts';
import { type EmbeddedDatabase, emptyDatabase } from '../embedded-database.ts';

const migration = (id: string, sql: string): Migration => ({
  id,
  kind: 'expand',
  sql,
  checksum: `sum of ${sql}`,
});

describe('migrate', () => {
  let database: EmbeddedDatabase;
  beforeEach(async () => {
    database = await emptyDatabase();
  });
  afterEach(() => database.close());

  const run = (migrations: Migration[]) => migrate(database.session, migrations, { engineVersion: '1.2.3' });

  test("applies the platform's own migrations, and a second run applies none", async () => {
    const migrations = await readMigrations();
    expect(await run(migrations)).toEqual(migrations.map(({ id }) => id));
    expect(await run(migrations)).toEqual([]);
    const ledger = await readLedger(database.session);
    expect(
      ledger.map(({ id, checksum, kind, engine_version }) => ({ id, checksum, kind, engine_version })),
    ).toEqual(migrations.map(({ id, checksum, kind }) => ({ id, checksum, kind, engine_version: '1.2.3' })));
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
    expect(failure.message).toMatch(/^schema\/migrations\/0002_bad\.sql:3: .*nowhere/);
    expect((await readLedger(database.session)).map(({ id }) => id)).toEqual(['0001_good']);
    const tables = await database.session.query<{ name: string }>(
      "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'",
    );
    expect(tables).toEqual([{ name: 'first' }]);
  });

  test('refuses a database that a newer engine migrated', async () => {
    await run([migration('0001_a', 'SELECT 1;'), migration('0002_b', 'SELECT 1;')]);
    await expect(run([migration('0001_a', 'SELECT 1;')])).rejects.toMatchObject({
      code: 'SCHEMA_NEWER',
      message: expect.stringContaining('0002_b'),
    });
  });

  test('refuses when an applied file has changed, by name', () => {
    expect(() =>
      assertHistoryFits([migration('0001_a', 'new')], [{ id: '0001_a', checksum: 'sum of old' }]),
    ).toThrow(/0001_a\.sql/);
  });
});
