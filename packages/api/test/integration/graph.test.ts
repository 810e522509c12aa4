import type { PGlite } from '@electric-sql/pglite';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Tables } from '@kg-operator/config';
import { type Kysely, sql } from 'kysely';
import { ageGraph, ConceptMissing, type Graph } from '../../src/graph.ts';
import { migratedDatabase } from '../database.ts';

let pglite: PGlite;
let db: Kysely<Tables>;
let graph: Graph;

beforeAll(async () => {
  ({ pglite, db } = await migratedDatabase());
  graph = ageGraph(db);
}, 60_000);
afterAll(() => pglite.close());
beforeEach(async () => {
  await pglite.query(`SELECT * FROM cypher('knowledge', $$ MATCH (n) DETACH DELETE n $$) AS (r agtype)`);
});

const concept = (name: string, description: string | null = null) => ({ id: name, name, description });

describe('the graph in AGE', () => {
  test('an empty graph is an empty view', async () => {
    await graph.check();
    expect(await graph.view(10)).toEqual({ nodes: [], edges: [], truncated: false });
  });

  test('a concept becomes a vertex that SQL sees by Cypher', async () => {
    const added = await graph.add([{ name: 'Ada', description: 'wrote programs' }], []);
    expect(added).toEqual({
      concepts: [concept('Ada', 'wrote programs')],
      relations: [],
      newConcepts: 1,
      newRelations: 0,
    });
    const { rows } = await sql<{ name: string }>`SELECT name FROM cypher('knowledge',
      $$ MATCH (n:Concept) RETURN n.name $$) AS (name agtype)`.execute(db);
    expect(rows).toEqual([{ name: '"Ada"' }]);
  });

  test('the same again changes nothing; a description is set, and not taken away by silence', async () => {
    await graph.add([{ name: 'Ada' }], []);
    expect((await graph.add([{ name: 'Ada', description: 'one' }], [])).newConcepts).toBe(0);
    expect((await graph.add([{ name: 'Ada' }], [])).concepts).toEqual([concept('Ada', 'one')]);
    expect((await graph.view(10)).nodes).toEqual([concept('Ada', 'one')]);
  });

  test('the same relation twice is one edge, in one call or two', async () => {
    const knows = { from: 'A', to: 'B', type: 'knows' };
    const first = await graph.add([{ name: 'A' }, { name: 'B' }], [knows, knows]);
    expect(first).toMatchObject({ newRelations: 1, relations: [{ id: 'A|knows|B', ...knows }] });
    expect(await graph.add([], [knows])).toMatchObject({ newRelations: 0, relations: [knows] });
    expect((await graph.view(10)).edges).toEqual([{ id: 'A|knows|B', ...knows }]);
  });

  test('type, direction and ends tell relations apart, a concept may relate to itself', async () => {
    const relations = [
      { from: 'A', to: 'B', type: 'knows' },
      { from: 'A', to: 'B', type: 'likes' },
      { from: 'B', to: 'A', type: 'knows' },
      { from: 'A', to: 'A', type: 'knows' },
    ];
    await graph.add([{ name: 'A' }, { name: 'B' }], relations);
    const { edges } = await graph.view(10);
    expect(edges.map(({ from, to, type }) => ({ from, to, type }))).toEqual(
      expect.arrayContaining(relations),
    );
    expect(edges).toHaveLength(4);
  });

  test('a relation to nothing is refused, and nothing of its call is kept', async () => {
    const call = graph.add([{ name: 'A' }], [{ from: 'A', to: 'Nowhere', type: 'to' }]);
    await expect(call).rejects.toThrow(new ConceptMissing(['Nowhere']));
    expect((await graph.view(10)).nodes).toEqual([]);
  });

  test.each([
    ['quotes', `O'Neill "the" \\ back\\"slash`],
    ['Cypher', `x'}) DETACH DELETE n //`],
    ['a dollar quote', '$cypher$ $$ $1 $name'],
    ['agtype suffixes', '::vertex'],
    ['a number', '42'],
    ['other scripts', 'Łódź 東京 🙂 \u2028 عربى'],
    ['null', 'null'],
  ])('text goes through unharmed: %s', async (_, text) => {
    await graph.add(
      [{ name: text, description: text }, { name: 'other' }],
      [{ from: text, to: 'other', type: text }],
    );
    const { nodes, edges } = await graph.view(10);
    expect(nodes).toContainEqual(concept(text, text));
    expect(edges).toEqual([expect.objectContaining({ from: text, to: 'other', type: text })]);
    expect(await graph.add([{ name: text }], [])).toMatchObject({ newConcepts: 0 });
  });

  test('many callers at once make one vertex and one edge', async () => {
    const call = () => graph.add([{ name: 'A' }, { name: 'B' }], [{ from: 'A', to: 'B', type: 'r' }]);
    const results = await Promise.all(Array.from({ length: 8 }, call));
    expect(results.reduce((sum, { newConcepts }) => sum + newConcepts, 0)).toBe(2);
    expect(await graph.view(10)).toMatchObject({ nodes: { length: 2 }, edges: { length: 1 } });
  });

  test('a view is limited to the newest, has only edges between what it shows, and says there is more', async () => {
    for (const name of ['A', 'B', 'C']) await graph.add([{ name }], []);
    await graph.add(
      [],
      [
        { from: 'A', to: 'B', type: 'r' },
        { from: 'C', to: 'B', type: 'r' },
      ],
    );
    const view = await graph.view(2);
    expect(view.nodes.map(({ name }) => name)).toEqual(['C', 'B']);
    expect(view.edges).toEqual([{ id: 'C|r|B', from: 'C', to: 'B', type: 'r' }]);
    expect(view.truncated).toBe(true);
    expect((await graph.view(3)).truncated).toBe(false);
    expect(await graph.concepts(2)).toEqual([concept('B'), concept('C')]);
  });

  test('a name is looked up through the index', async () => {
    await pglite.exec('SET enable_seqscan = off');
    const plan = await pglite.query(
      `SELECT * FROM cypher('knowledge', $$ EXPLAIN MATCH (n:Concept) WHERE n.name = 'A' RETURN n.name $$) AS (p agtype)`,
    );
    await pglite.exec('RESET enable_seqscan');
    expect(JSON.stringify(plan.rows)).toContain('concept_name');
  });
});
