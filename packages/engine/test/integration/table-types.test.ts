import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type EmbeddedDatabase, migratedDatabase } from '../embedded-database.ts';

let database: EmbeddedDatabase;
beforeAll(async () => {
  database = await migratedDatabase();
});
afterAll(() => database.close());

test('the Kysely table types name exactly the columns of the migrated database', async () => {
  const source = readFileSync(new URL('../../../config/src/tables.ts', import.meta.url), 'utf8');
  const interfaces = new Map(
    [...source.matchAll(/export interface (\w+)Table \{\n([\s\S]*?)\n\}/g)].map(([, name, body]) => [
      `${name}Table`,
      [...(body ?? '').matchAll(/^ {2}(\w+): ([^;]+);/gm)].map(([, column, type]) => ({
        column,
        nullable: /\| null/.test(type ?? ''),
      })),
    ]),
  );
  const declared = [...source.matchAll(/^ {2}'kg_api\.(\w+)': (\w+);/gm)].flatMap(([, table, type]) =>
    (interfaces.get(type ?? '') ?? []).map(
      ({ column, nullable }) => `${table}.${column}${nullable ? '?' : ''}`,
    ),
  );
  const columns = await database.session.query<{ name: string }>(
    `SELECT table_name || '.' || column_name || CASE is_nullable WHEN 'YES' THEN '?' ELSE '' END AS name
       FROM information_schema.columns WHERE table_schema = 'kg_api'`,
  );
  expect(declared.length).toBeGreaterThan(30);
  expect(declared.sort()).toEqual(columns.map(({ name }) => name).sort());
});
