import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openSession } from '../../src/database/session.ts';
import { migrate } from '../../src/migrations/migrate.ts';
import { messySqlContract } from '../contract/messy-sql.ts';
import { migration, migrationContract } from '../contract/migrations.ts';
import { type EmbeddedDatabase, emptyDatabase } from '../embedded-database.ts';

// Opening one takes seconds: the tests share it, and each finds it empty.
let database: EmbeddedDatabase;
beforeAll(async () => {
  database = await emptyDatabase();
});
afterAll(() => database.close());

async function cleared() {
  const session = await openSession(database.settings);
  // Where AGE is loaded nothing can be dropped without its catalog.
  await session.script('CREATE EXTENSION IF NOT EXISTS age');
  await session.query('SELECT ag_catalog.drop_graph(name, true) FROM ag_catalog.ag_graph');
  const schemas = await session.query<{ name: string }>(
    `SELECT quote_ident(nspname) AS name FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'ag_catalog')`,
  );
  for (const { name } of schemas) await session.query(`DROP SCHEMA ${name} CASCADE`);
  await session.query('CREATE SCHEMA public');
  return { session, close: () => session.close() };
}

// The same on the image's PostgreSQL: test/e2e/database-contract.test.ts.
migrationContract('an embedded database', cleared);
messySqlContract('an embedded database', cleared);

test('two runners on the one session of an embedded database: each file is applied once', async () => {
  const [one, two] = [await cleared(), { session: await openSession(database.settings) }];
  const files = [1, 2, 3, 4].map((n) => migration(`000${n}_t`, `CREATE TABLE t${n} (id int);`));
  const applied = await Promise.all(
    [one, two].map(({ session }) => migrate(session, files, { engineVersion: '1' })),
  );
  expect(
    applied
      .flat()
      .map(({ id }) => id)
      .sort(),
  ).toEqual(files.map(({ id }) => id));
  await two.session.close();
  await one.close();
});
