import { describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { verifyGraph } from '../../src/backup/database-graph.ts';
import type { DumpedGraph } from '../../src/backup/format.ts';

const graph: DumpedGraph = {
  oid: 1,
  name: 'one',
  schema: 'one',
  vertices: 0,
  edges: 0,
  labels: [],
};

/** A database whose catalog is right, and in which every Cypher query fails. Keeps what it was asked. */
function failingCypher(error: Error) {
  const asked: string[] = [];
  const query = async (sql: string) => {
    asked.push(sql);
    if (sql.includes('cypher(')) throw error;
    return { rows: [] };
  };
  return { client: { query } as unknown as pg.Client, asked };
}

describe('a graph that takes no writes', () => {
  test('is a finding, if AGE says so', async () => {
    const { client } = failingCypher(
      Object.assign(new Error('graph "one" does not exist'), { code: '3F000' }),
    );
    const found: string[] = [];
    await verifyGraph(client, graph, (code) => found.push(code));
    expect(found).toEqual(['GRAPH_UNWRITABLE']);
  });

  test.each([
    ['could not extend file: No space left on device', '53100'],
    ['terminating connection because of crash of another server process', '57P02'],
    ['Connection terminated unexpectedly', undefined],
    ['read ECONNRESET', 'ECONNRESET'],
  ])('says nothing of the backup, if the server is to blame: %s', async (message, code) => {
    const { client, asked } = failingCypher(Object.assign(new Error(message), { code }));
    const found: string[] = [];
    await expect(verifyGraph(client, graph, (finding) => found.push(finding))).rejects.toThrow(message);
    expect(found).toEqual([]);
    expect(asked).toContain('ROLLBACK');
  });
});
