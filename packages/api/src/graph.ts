import type { Tables } from '@kg-operator/config';
import { type Kysely, sql, type Transaction } from 'kysely';

export interface Concept {
  /** The same as the name, which is unique. AGE's own graphids exceed 2^53, and change when data moves. */
  id: string;
  name: string;
  description: string | null;
}

export interface RelationInput {
  from: string;
  to: string;
  type: string;
}

export interface Relation extends RelationInput {
  id: string;
}

export interface ConceptInput {
  name: string;
  description?: string | null | undefined;
}

export interface GraphView {
  nodes: Concept[];
  edges: Relation[];
  /** There is more than was asked for. */
  truncated: boolean;
}

/** A relation names a concept that does not exist. */
export class ConceptMissing extends Error {
  readonly concepts: string[];

  constructor(concepts: string[]) {
    super(`no such concept: ${concepts.join(', ')}`);
    this.name = 'ConceptMissing';
    this.concepts = concepts;
  }
}

export interface Graph {
  /**
   * Adds concepts that are not there yet, and sets the description of those that are, where one is given; then adds relations that are not
   * there yet. All or nothing. Returns the concepts and relations as they are afterwards, in the order given, and how many are new.
   * @throws ConceptMissing when a relation names a concept that is neither given nor stored.
   */
  add(concepts: ConceptInput[], relations: RelationInput[]): Promise<Added>;
  /** The newest `limit` concepts and the relations among them. */
  view(limit: number): Promise<GraphView>;
  /** The newest `limit` concepts, by name. */
  concepts(limit: number): Promise<Concept[]>;
  /** Fails when the graph can't be read. */
  check(): Promise<void>;
}

export interface Added {
  concepts: Concept[];
  relations: Relation[];
  newConcepts: number;
  newRelations: number;
}

const GRAPH = 'knowledge';
/** Edges that one view carries at most. */
const MAX_EDGES = 20_000;
/** Number of our advisory lock, "kg" in ASCII: writers of the graph queue behind it. */
const WRITE_LOCK = 0x6b67;
const ATTEMPTS = 4;

/** The knowledge graph in Apache AGE. */
export function ageGraph(db: Kysely<Tables>): Graph {
  return {
    async add(concepts, relations) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await db.transaction().execute((tx) => addTo(tx, unique(concepts), relations));
        } catch (error) {
          // Someone who does not take our lock, such as a person in psql, wrote the same concept meanwhile.
          if (attempt >= ATTEMPTS || !isConflict(error)) throw error;
        }
      }
    },

    async view(limit) {
      const found = await newest(db, limit + 1);
      const nodes = found.slice(0, limit);
      const names = new Set(nodes.map((node) => node.name));
      // The ends are compared here: `IN $names` inside AGE walks the list for every edge.
      const edges = await cypher<RelationInput>(
        db,
        `MATCH (a:Concept) WITH a ORDER BY id(a) DESC LIMIT $limit
         MATCH (a)-[r:RELATION]->(b:Concept)
         RETURN {from: a.name, to: b.name, type: r.type} LIMIT $edges`,
        { limit, edges: MAX_EDGES + 1 },
      );
      const shown = edges.slice(0, MAX_EDGES).filter(({ from, to }) => names.has(from) && names.has(to));
      return {
        nodes,
        edges: shown.map(toRelation),
        truncated: found.length > limit || edges.length > MAX_EDGES,
      };
    },

    async concepts(limit) {
      const found = await newest(db, limit);
      return found.sort((a, b) => a.name.localeCompare(b.name));
    },

    async check() {
      await cypher(db, 'MATCH (n:Concept) RETURN {name: n.name} LIMIT 1', {});
    },
  };
}

/**
 * The write itself. Why not MERGE: it looks a pattern up by containment, which no index serves, and PGlite's build of AGE (32 bits) gives
 * an edge it merges 0 for both ends. Under the lock, "look, then CREATE" promises the same and is served by the index on the name.
 */
async function addTo(
  tx: Transaction<Tables>,
  concepts: ConceptInput[],
  relations: RelationInput[],
): Promise<Added> {
  await sql`SELECT pg_advisory_xact_lock(${sql.lit(WRITE_LOCK)})`.execute(tx);

  const names = [
    ...new Set([...concepts.map(({ name }) => name), ...relations.flatMap(({ from, to }) => [from, to])]),
  ];
  const stored = new Map((await byName(tx, names)).map((concept) => [concept.name, concept]));
  const given = new Set(concepts.map(({ name }) => name));
  const missing = names.filter((name) => !stored.has(name) && !given.has(name));
  if (missing.length > 0) throw new ConceptMissing(missing);

  const created = concepts.filter(({ name }) => !stored.has(name));
  const described = concepts.filter(
    ({ name, description }) =>
      description && stored.has(name) && stored.get(name)?.description !== description,
  );
  await cypher(tx, 'UNWIND $concepts AS c CREATE (:Concept {name: c.name, description: c.description})', {
    concepts: created.filter(({ description }) => description),
  });
  await cypher(tx, 'UNWIND $concepts AS c CREATE (:Concept {name: c.name})', {
    concepts: created.filter(({ description }) => !description),
  });
  await cypher(
    tx,
    'UNWIND $concepts AS c MATCH (n:Concept) WHERE n.name = c.name SET n.description = c.description',
    { concepts: described },
  );

  const wanted = [...new Map(relations.map((relation) => [relationId(relation), relation])).values()];
  const present = new Set<string>();
  for (const found of await relationsFrom(tx, [...new Set(wanted.map(({ from }) => from))])) {
    present.add(relationId(found));
  }
  const added = wanted.filter((relation) => !present.has(relationId(relation)));
  await cypher(
    tx,
    `UNWIND $relations AS r MATCH (a:Concept), (b:Concept) WHERE a.name = r.from AND b.name = r.to
     CREATE (a)-[:RELATION {type: r.type}]->(b)`,
    { relations: added },
  );

  const after = new Map((await byName(tx, [...given])).map((concept) => [concept.name, concept]));
  return {
    concepts: concepts.flatMap(({ name }) => after.get(name) ?? []),
    relations: wanted.map(toRelation),
    newConcepts: created.length,
    newRelations: added.length,
  };
}

async function byName(db: Kysely<Tables>, names: string[]): Promise<Concept[]> {
  const rows = await cypher<StoredConcept>(
    db,
    'UNWIND $names AS name MATCH (n:Concept) WHERE n.name = name RETURN {name: n.name, description: n.description}',
    { names },
  );
  return rows.map(toConcept);
}

function relationsFrom(db: Kysely<Tables>, names: string[]): Promise<RelationInput[]> {
  return cypher(
    db,
    `UNWIND $names AS name MATCH (a:Concept) WHERE a.name = name MATCH (a)-[r:RELATION]->(b:Concept)
     RETURN {from: a.name, to: b.name, type: r.type}`,
    { names },
  );
}

async function newest(db: Kysely<Tables>, limit: number): Promise<Concept[]> {
  const rows = await cypher<StoredConcept>(
    db,
    'MATCH (n:Concept) RETURN {name: n.name, description: n.description} ORDER BY id(n) DESC LIMIT $limit',
    { limit },
  );
  return rows.map(toConcept);
}

interface StoredConcept {
  name: string;
  description?: string | null;
}

/**
 * Runs one openCypher query that returns a map (or nothing) per row, and gives the maps.
 * Values go in as the parameter document `$1`, never into the text. What comes back is agtype as text, and for maps of strings that is JSON;
 * vertices and edges would carry a `::vertex` behind it, so queries return maps. A list that is empty makes the query unnecessary.
 */
async function cypher<Row>(
  db: Kysely<Tables>,
  query: string,
  parameters: Record<string, unknown>,
): Promise<Row[]> {
  const values = Object.values(parameters);
  if (values.some((value) => Array.isArray(value) && value.length === 0)) return [];
  const text = sql.raw(`$cypher$${query}$cypher$`);
  // AGE refuses an empty map as the parameter, and a cast around it: https://age.apache.org/age-manual/master/advanced/prepared_statements.html
  const call = values.length
    ? sql`ag_catalog.cypher(${sql.lit(GRAPH)}, ${text}, ${JSON.stringify(parameters)})`
    : sql`ag_catalog.cypher(${sql.lit(GRAPH)}, ${text})`;
  const { rows } = await sql<{ r: string }>`SELECT r FROM ${call} AS (r ag_catalog.agtype)`.execute(db);
  return rows.map(({ r }) => parseMap<Row>(r));
}

function parseMap<Row>(agtype: string): Row {
  const value: unknown = JSON.parse(agtype);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError('Cypher query did not return a map');
  }
  return value as Row;
}

function toConcept({ name, description }: StoredConcept): Concept {
  return { id: name, name, description: description ?? null };
}

function toRelation({ from, to, type }: RelationInput): Relation {
  return { id: relationId({ from, to, type }), from, to, type };
}

/** `from|type|to`, each part percent-encoded, so that different relations have different ids. */
export function relationId({ from, to, type }: RelationInput): string {
  return [from, type, to].map(encodeURIComponent).join('|');
}

/** One entry per name, the last description winning. */
function unique(concepts: ConceptInput[]): ConceptInput[] {
  const byKey = new Map<string, ConceptInput>();
  for (const concept of concepts) {
    const description = concept.description || byKey.get(concept.name)?.description;
    byKey.set(concept.name, { name: concept.name, description });
  }
  return [...byKey.values()];
}

/** SQLSTATE 23505 unique_violation, 40001 serialization_failure, 40P01 deadlock_detected. */
function isConflict(error: unknown): boolean {
  const code = (error as { code?: string }).code;
  return code === '23505' || code === '40001' || code === '40P01';
}
