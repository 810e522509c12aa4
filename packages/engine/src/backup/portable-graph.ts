import pg from 'pg';
import { messageOf } from '../model/errors.ts';
import { readGraphs } from './database-contents.ts';
import { insertGraphs } from './database-restore.ts';
import type { DumpedGraph } from './format.ts';

export interface MadeGraphs {
  /** Why the graphs here can't become those that were saved; none if they can. */
  reasons: string[];
  /** Labels got other numbers than they had in this session: what AGE remembers of them here is wrong. */
  renumbered: boolean;
}

/**
 * Makes the graphs and labels that migrations have not made, through AGE itself and so in the form of its version here, each label with
 * the number it had: that is part of the id of every vertex and edge.
 */
export async function makeGraphs(client: pg.Client, saved: DumpedGraph[]): Promise<MadeGraphs> {
  const before = await readGraphs(client);
  const surplus = before.flatMap(({ name, labels }) => {
    const graph = saved.find((other) => other.name === name);
    if (!graph) return [`the backup has not the graph ${name}`];
    return labels
      .filter(({ label }) => !graph.labels.some((other) => other.label === label))
      .map(({ label }) => `the backup has not the label ${label} of graph ${name}`);
  });
  const moved = saved
    .filter(({ name, schema }) => name !== schema)
    .map(({ name }) => `graph ${name} is in a schema of another name`);
  if (surplus.length + moved.length > 0) return { reasons: [...surplus, ...moved], renumbered: false };
  if (saved.length === 0) return { reasons: [], renumbered: false };

  const reasons: string[] = [];
  // From AGE 1.7 on create_graph() wants ag_catalog in the search path.
  await client.query("LOAD 'age'");
  await client.query('SET search_path = ag_catalog, public');
  try {
    for (const graph of saved) reasons.push(...(await makeGraph(client, graph, before)));
  } finally {
    await client.query("SET search_path = ''");
  }
  if (reasons.length > 0) return { reasons, renumbered: false };
  return { reasons, renumbered: await renumber(client, saved) };
}

async function makeGraph(
  client: pg.Client,
  { name, labels }: DumpedGraph,
  before: Omit<DumpedGraph, 'vertices' | 'edges'>[],
): Promise<string[]> {
  const graph = pg.escapeLiteral(name);
  try {
    if (!before.some((other) => other.name === name))
      await client.query(`SELECT ag_catalog.create_graph(${graph})`);
    const [made] = (await readGraphs(client)).filter((other) => other.name === name);
    for (const { label, id, kind } of labels.toSorted((a, b) => a.id - b.id)) {
      if (made?.labels.some((other) => other.label === label)) continue;
      const sequence = pg.escapeLiteral(`${pg.escapeIdentifier(name)}._label_id_seq`);
      await client.query(`SELECT pg_catalog.setval(${sequence}, ${Number(id)}, false)`);
      await client.query(
        `SELECT ag_catalog.create_${kind === 'v' ? 'v' : 'e'}label(${graph}, ${pg.escapeLiteral(label)})`,
      );
    }
    return [];
  } catch (error) {
    return [`graph ${name} can't be made here: ${messageOf(error)}`];
  }
}

/** Gives every label its number. They have it, unless a migration made the label when its number was another's. Returns whether any changed. */
async function renumber(client: pg.Client, saved: DumpedGraph[]): Promise<boolean> {
  const here = await readGraphs(client);
  const numbers = (graphs: Pick<DumpedGraph, 'name' | 'labels'>[]) =>
    graphs
      .flatMap(({ name, labels }) => labels.map(({ label, id }) => `${name} ${label} ${id}`))
      .sort()
      .join('\n');
  if (numbers(here) === numbers(saved)) return false;
  await client.query('DELETE FROM ag_catalog.ag_label');
  await client.query('DELETE FROM ag_catalog.ag_graph');
  await insertGraphs(client, saved);
  return true;
}
