import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ConnectionSettings } from '@kg-operator/config';
import { type MigrationSession, openSession } from '../../src/database/session.ts';
import { baseline } from '../../src/migrations/baseline.ts';
import { type Catalog, compareCatalogs, readCatalog } from '../../src/migrations/catalog.ts';
import { type Migration, readMigrations } from '../../src/migrations/files.ts';
import { readLedger } from '../../src/migrations/ledger.ts';
import { migrate } from '../../src/migrations/migrate.ts';
import { verify } from '../../src/migrations/verify.ts';
import { migration } from './migrations.ts';

/** An empty database behind an address. */
export interface AddressedDatabase {
  settings: ConnectionSettings;
  close(): Promise<void>;
}

/** An object of each kind that a catalog knows; hstore and roles are left out, which the embedded PostgreSQL lacks or has once. */
const EVERYTHING = `
  CREATE SCHEMA app;
  CREATE TYPE app.mood AS ENUM ('good', 'bad');
  CREATE DOMAIN app.name AS text DEFAULT 'x' CHECK (VALUE <> '');
  CREATE TYPE app.pair AS (x int, y text);
  CREATE TABLE app.users (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name varchar(10) NOT NULL DEFAULT 'x',
    mood app.mood,
    sum  int GENERATED ALWAYS AS (1 + 1) STORED
  );
  CREATE TABLE app.orders (id bigint PRIMARY KEY, user_id bigint REFERENCES app.users (id), CHECK (id > 0));
  CREATE INDEX orders_user ON app.orders (user_id) WHERE user_id > 3;
  CREATE VIEW app.names AS SELECT name FROM app.users;
  CREATE MATERIALIZED VIEW app.counts AS SELECT count(*) FROM app.users;
  CREATE FUNCTION app.f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1';
  CREATE PROCEDURE app.p() LANGUAGE plpgsql AS 'BEGIN END';
  CREATE AGGREGATE app.total(int) (sfunc = int4pl, stype = int, initcond = '0');
  CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER touch BEFORE UPDATE ON app.users FOR EACH ROW EXECUTE FUNCTION app.touch();
  CREATE RULE nothing AS ON DELETE TO app.users DO INSTEAD NOTHING;
  ALTER TABLE app.users ENABLE ROW LEVEL SECURITY;
  CREATE POLICY own ON app.users FOR SELECT USING (id > 3);
  CREATE SEQUENCE app.numbers START 7;
  CREATE TABLE app.parts (a int, b text) PARTITION BY RANGE (a);
  CREATE TABLE app.parts_1 PARTITION OF app.parts FOR VALUES FROM (1) TO (10);
  CREATE STATISTICS app.together ON a, b FROM app.parts;
  CREATE OPERATOR app.=== (leftarg = int, rightarg = int, function = int4eq);
  GRANT SELECT ON app.users TO PUBLIC;
  COMMENT ON COLUMN app.users.name IS 'it''s';`;

/** A change, and what is then said. */
const CHANGES: [string, string[]][] = [
  ['CREATE SCHEMA other', ['added schema other']],
  ['CREATE TABLE app.more (a int PRIMARY KEY, b int)', ['added table app.more']],
  ['DROP TABLE app.orders', ['missing index app.orders_user', 'missing table app.orders']],
  ['ALTER TABLE app.orders ADD COLUMN note text', ['added column app.orders.note']],
  ['ALTER TABLE app.users ALTER COLUMN name SET DEFAULT $$y$$', ['changed column app.users.name']],
  ['ALTER TABLE app.users ALTER COLUMN name DROP NOT NULL', ['changed column app.users.name']],
  [`COMMENT ON COLUMN app.users.name IS 'its'`, ['changed column app.users.name']],
  ['ALTER TABLE app.orders ADD CHECK (id < 9)', ['added constraint app.orders.orders_id_check1']],
  [
    'ALTER TABLE app.orders DROP CONSTRAINT orders_user_id_fkey, ADD CONSTRAINT orders_user_id_fkey FOREIGN KEY (user_id) REFERENCES app.users NOT VALID',
    ['changed constraint app.orders.orders_user_id_fkey'],
  ],
  ['DROP INDEX app.orders_user', ['missing index app.orders_user']],
  [
    'DROP INDEX app.orders_user; CREATE INDEX orders_user ON app.orders (user_id)',
    ['changed index app.orders_user'],
  ],
  [
    `CREATE OR REPLACE FUNCTION app.f(a int) RETURNS int LANGUAGE sql AS 'SELECT 2'`,
    ['changed function app.f(a integer)'],
  ],
  ['REVOKE EXECUTE ON FUNCTION app.f FROM PUBLIC', ['changed function app.f(a integer)']],
  ['CREATE OR REPLACE VIEW app.names AS SELECT name FROM app.users WHERE id > 1', ['changed view app.names']],
  ['DROP MATERIALIZED VIEW app.counts', ['missing materialized view app.counts']],
  [`ALTER TYPE app.mood RENAME VALUE 'good' TO 'fine'`, ['changed type app.mood']],
  ['ALTER DOMAIN app.name DROP DEFAULT', ['changed domain app.name']],
  ['ALTER TABLE app.users DISABLE TRIGGER touch', ['changed trigger app.users.touch']],
  ['DROP RULE nothing ON app.users', ['missing rule app.users.nothing']],
  ['ALTER POLICY own ON app.users USING (id > 4)', ['changed policy app.users.own']],
  ['ALTER TABLE app.users DISABLE ROW LEVEL SECURITY', ['changed table app.users']],
  ['REVOKE SELECT ON app.users FROM PUBLIC', ['changed table app.users']],
  ['ALTER SEQUENCE app.numbers INCREMENT 2', ['changed sequence app.numbers']],
  ['ALTER TABLE app.parts DETACH PARTITION app.parts_1', ['changed table app.parts_1']],
  ['DROP STATISTICS app.together', ['missing statistics app.together']],
  ['DROP OPERATOR app.=== (int, int)', ['missing operator app.===(integer,integer)']],
  ['DROP PROCEDURE app.p', ['missing procedure app.p()']],
  ['DROP AGGREGATE app.total(int)', ['missing aggregate app.total(integer)']],
  ['INSERT INTO app.users (name) VALUES ($$a$$); SELECT nextval($$app.numbers$$)', []],
];

/** What migrate verify and migrate baseline see on any PostgreSQL that the platform runs on. */
export function schemaContract(name: string, open: () => Promise<AddressedDatabase>): void {
  describe(`a schema as text, on ${name}`, () => {
    let database: AddressedDatabase;
    let session: MigrationSession;
    let before: Catalog;
    beforeAll(async () => {
      database = await open();
      session = await openSession(database.settings);
      // Where its library is preloaded and the extension is not there, AGE fails at every DROP.
      await session.query('CREATE EXTENSION IF NOT EXISTS age');
      await session.script(EVERYTHING);
      before = await readCatalog(session);
    });
    afterAll(async () => {
      await session?.close();
      await database?.close();
    });

    test('read twice it is the same, and everything that was made is in it', async () => {
      expect(compareCatalogs(before, await readCatalog(session))).toEqual([]);
      expect(before.size).toBeGreaterThan(40);
    });

    test.each(CHANGES)('%s', async (change, said) => {
      // The way back: the catalog is read in a transaction of its own, so a second database would be the only other one.
      await session.script(change);
      const differences = compareCatalogs(before, await readCatalog(session));
      expect(differences.map(({ kind, object }) => `${kind} ${object}`)).toEqual(said);
      await session.script(`DROP SCHEMA app CASCADE; DROP SCHEMA IF EXISTS other; ${EVERYTHING}`);
      expect(compareCatalogs(before, await readCatalog(session))).toEqual([]);
    });
  });

  describe(`migrate verify and migrate baseline, on ${name}`, () => {
    const options = { engineVersion: '1.2.3', actor: 'alice@desk' };
    const files = [
      migration(
        '0001_tables',
        '-- kind: expand\nCREATE SCHEMA app; CREATE TABLE app.t (a int PRIMARY KEY, b text);',
      ),
      migration(
        '0002_index',
        '-- kind: expand\n-- transaction: none\nCREATE INDEX CONCURRENTLY i ON app.t (b);',
      ),
    ];

    async function withDatabase(
      use: (session: MigrationSession, settings: ConnectionSettings) => Promise<void>,
    ) {
      const database = await open();
      const session = await openSession(database.settings);
      try {
        await use(session, database.settings);
      } finally {
        await session.close();
        await database.close();
      }
    }

    test("the platform's own schema is what its migrations make, and a view over Cypher shows by its graph's name", async () => {
      await withDatabase(async (session, settings) => {
        const own = await readMigrations();
        const view = migration(
          '9000_view',
          `CREATE VIEW public.people AS SELECT * FROM ag_catalog.cypher('knowledge', $$ MATCH (n) RETURN n $$) AS (n ag_catalog.agtype);`,
        );
        await migrate(session, [...own, view], options);
        const report = await verify(settings, own, options);
        expect(report.differences).toEqual([]);
        expect(report.migrations).toBe(own.length + 1);
        expect(report.objects).toBeGreaterThan(100);
        await session.script(`SELECT ag_catalog.create_vlabel('knowledge', 'Place');`);
        const { differences } = await verify(settings, own, options);
        expect(differences.map(({ kind, object }) => `${kind} ${object}`)).toContain(
          'added label knowledge."Place"',
        );
      });
    });

    test('verify goes by the texts that were applied, and lists what else was done to the database', async () => {
      await withDatabase(async (session, settings) => {
        await migrate(session, files, options);
        const changed = files.map((file) => ({ ...file, sql: 'SELECT 1;' }));
        expect((await verify(settings, changed as Migration[], options)).differences).toEqual([]);
        await session.script('ALTER INDEX app.i RENAME TO j; CREATE TABLE app.extra (a int);');
        const { differences } = await verify(settings, files, options);
        expect(differences).toMatchObject([
          {
            object: 'index app.i',
            kind: 'missing',
            expected: expect.stringContaining('CREATE INDEX i'),
            found: null,
          },
          { object: 'index app.j', kind: 'added' },
          { object: 'table app.extra', kind: 'added', expected: null },
        ]);
      });
    });

    test('baseline records what is there already, with who and when, without running it', async () => {
      await withDatabase(async (session, settings) => {
        await session.script('CREATE SCHEMA app; CREATE TABLE app.t (a int PRIMARY KEY, b text);');
        await expect(baseline(settings, files, '0002_index', options)).rejects.toMatchObject({
          code: 'BASELINE_DIFFERS',
          exitCode: 8,
          details: expect.arrayContaining([expect.stringContaining('index app.i  missing')]),
        });
        expect(await session.query(`SELECT to_regnamespace('kg_operator') AS ledger`)).toEqual([
          { ledger: null },
        ]);
        expect(await baseline(settings, files, '0001_tables', options)).toEqual(['0001_tables']);
        expect(await readLedger(session)).toMatchObject([
          { id: '0001_tables', state: 'baseline', applied_by: 'alice@desk', applied_at: expect.any(Date) },
        ]);
        expect((await migrate(session, files, options)).map(({ id }) => id)).toEqual(['0002_index']);
        expect((await verify(settings, files, options)).differences).toEqual([]);
        await expect(baseline(settings, files, '0002_index', options)).rejects.toMatchObject({
          code: 'BASELINE_NOT_EMPTY',
          exitCode: 8,
        });
        await expect(baseline(settings, files, '0009_none', options)).rejects.toMatchObject({
          code: 'MIGRATION_UNKNOWN',
          exitCode: 2,
        });
      });
    });

    test('a database without a ledger, and migrations that need what is not there, are refused with the reason', async () => {
      await withDatabase(async (session, settings) => {
        await expect(verify(settings, files, options)).rejects.toMatchObject({
          code: 'NOTHING_APPLIED',
          exitCode: 3,
        });
        await session.script('CREATE TABLE public.by_hand (a int);');
        await migrate(
          session,
          [migration('0001_x', 'ALTER TABLE public.by_hand ADD COLUMN b int;')],
          options,
        );
        await expect(verify(settings, [], options)).rejects.toMatchObject({
          code: 'REPLAY_FAILED',
          exitCode: 8,
          message: expect.stringMatching(/0001_x\.sql.*by_hand/s),
        });
      });
    });
  });
}
