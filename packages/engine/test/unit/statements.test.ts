import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseStatements, SqlSyntaxError } from '../../src/migrations/statements.ts';

const texts = async (sql: string) => (await parseStatements(sql)).map(({ text }) => text);

describe('parseStatements', () => {
  test('a semicolon in a quote, comment, body or identifier ends nothing', async () => {
    const statements = [
      `SELECT 'it''s; here', "odd;name", $tag$a;$$b;$tag$, E'\\';'`,
      'CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END; $$',
      'CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END',
      `DO $do$ BEGIN EXECUTE 'CREATE TABLE s.t ();'; END $do$`,
      'CREATE RULE r AS ON INSERT TO s.t DO ALSO (DELETE FROM s.u; DELETE FROM s.v)',
      `SELECT * FROM ag_catalog.cypher('g', $$ MATCH (n {name: 'a;b'}) RETURN n $$) AS (n agtype)`,
    ];
    const sql = statements.map((text) => `-- don't; "stop\n/* nor; /* here */ ; */\n${text}`).join(';\n');
    expect(await texts(sql)).toEqual(statements);
  });

  test('offset, line and column are those of the first token, whatever the characters before it take', async () => {
    const sql = `-- é😀\nSELECT 'é😀'; /* 😀 */ SELECT 2;\n\n  INSERT INTO s.t VALUES (1)`;
    const found = await parseStatements(sql);
    expect(found.map(({ line, column, text }) => [line, column, text])).toEqual([
      [2, 1, `SELECT 'é😀'`],
      [2, 22, 'SELECT 2'],
      [4, 3, 'INSERT INTO s.t VALUES (1)'],
    ]);
    for (const { offset, text } of found) expect(sql.slice(offset, offset + text.length)).toBe(text);
  });

  test('joined statements come apart again as they were', async () => {
    const piece = fc.constantFrom(
      `SELECT ';'`,
      `SELECT 'é;😀'`,
      'CREATE TABLE s."t;" (a int)',
      'DO $x$ BEGIN; END $x$',
      `INSERT INTO s.t VALUES (E'\\';')`,
    );
    const gap = fc.constantFrom(';', '; -- a;b\n', ';\n/* ; /* 😀; */ */ ', ';;\n;');
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(piece, gap), { maxLength: 12 }), async (parts) => {
        expect(await texts(parts.flat().join(''))).toEqual(parts.map(([text]) => text));
      }),
      { numRuns: 50 },
    );
  });

  test('nothing but comments is no statement', async () => {
    expect(await texts('')).toEqual([]);
    expect(await texts('-- kind: expand\n;;\n')).toEqual([]);
  });

  test.each([
    [`SELECT 'é😀' frm x;`, 1, 17, 'syntax error at or near "x"'],
    ['SELECT 1;\nSELECT $$abc', 2, 8, 'unterminated dollar-quoted string'],
    ['SELECT 1;\n\\connect other\nSELECT 2;', 2, 1, '\\connect is a psql meta-command'],
    [`SELECT 1;\nSELECT :'name';`, 2, 8, `:'name' is a psql variable`],
    ['SELECT 1;\n  COPY s.t FROM stdin;\n1\ta\n\\.\n', 2, 3, 'COPY … FROM stdin'],
    ['COPY s.t FROM STDIN', 1, 1, 'COPY … FROM stdin'],
    ['\uFEFFSELECT 1', 1, 1, 'byte order mark'],
    ['SELECT 1;\0DROP SCHEMA s;', 1, 10, 'NUL byte'],
  ])('%j is refused with place and reason', async (sql, line, column, message) => {
    const error = await parseStatements(sql).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SqlSyntaxError);
    expect(error).toMatchObject({ exitCode: 8, line, column, message: expect.stringContaining(message) });
  });

  test('COPY from a file of the server or to stdout needs no psql', async () => {
    expect(await texts(`COPY s.t FROM '/a'; COPY s.t TO stdout`)).toHaveLength(2);
  });
});
