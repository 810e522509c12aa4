import { type PlatformConfig, type RemoteAi, Secret } from '@kg-operator/config';
import { createApp } from '../src/app.ts';
import { createAuth, type UserRecord } from '../src/auth.ts';
import { createDocuments, type DocumentRow, type DocumentRows } from '../src/documents.ts';
import type { Extractor } from '../src/extract/index.ts';
import { type Concept, ConceptMissing, type Graph, type Relation, relationId } from '../src/graph.ts';
import { jsonLog } from '../src/log.ts';
import type { ObjectStore } from '../src/objects/index.ts';
import { type Probe, readiness } from '../src/ready.ts';

/** Objects in memory. `failing` makes the next calls of an operation fail. */
export class MemoryObjects implements ObjectStore {
  readonly objects = new Map<string, Uint8Array>();
  readonly failing = new Set<'put' | 'get' | 'delete' | 'check'>();

  async put(key: string, body: Uint8Array): Promise<void> {
    this.#obey('put');
    this.objects.set(key, body);
  }

  async get(key: string): Promise<Uint8Array | null> {
    this.#obey('get');
    return this.objects.get(key) ?? null;
  }

  async delete(key: string): Promise<void> {
    this.#obey('delete');
    this.objects.delete(key);
  }

  async check(): Promise<void> {
    this.#obey('check');
  }

  #obey(operation: 'put' | 'get' | 'delete' | 'check'): void {
    if (this.failing.has(operation)) throw new Error(`${operation} fails`);
  }
}

/** Rows in memory. `failure` says how the next insert fails: before or after it took effect. */
export class MemoryRows implements DocumentRows {
  readonly rows: DocumentRow[] = [];
  failure: 'before' | 'after' | undefined;
  unreadable = false;

  async insert(row: Omit<DocumentRow, 'createdAt'>): Promise<DocumentRow> {
    if (this.failure === 'before') throw new Error('insert fails');
    const stored = { ...row, createdAt: new Date(0).toISOString() };
    this.rows.unshift(stored);
    if (this.failure === 'after') throw new Error('connection lost after commit');
    return stored;
  }

  async find(id: string): Promise<DocumentRow | undefined> {
    if (this.unreadable) throw new Error('connection lost');
    return this.rows.find((row) => row.id === id);
  }

  async list(limit: number): Promise<DocumentRow[]> {
    return this.rows.slice(0, limit);
  }
}

/** The graph's promises, kept in memory; its contract is proven on AGE in test/integration/graph.test.ts. */
export class MemoryGraph implements Graph {
  readonly nodes = new Map<string, Concept>();
  readonly edges = new Map<string, Relation>();

  async add(...[concepts, relations]: Parameters<Graph['add']>): ReturnType<Graph['add']> {
    const given = new Set(concepts.map(({ name }) => name));
    const missing = relations
      .flatMap(({ from, to }) => [from, to])
      .filter((name) => !given.has(name) && !this.nodes.has(name));
    if (missing.length > 0) throw new ConceptMissing([...new Set(missing)]);
    const before = { nodes: this.nodes.size, edges: this.edges.size };
    for (const { name, description } of concepts) {
      const stored = this.nodes.get(name)?.description ?? null;
      this.nodes.set(name, { id: name, name, description: description ?? stored });
    }
    const added = relations.map((relation) => ({ id: relationId(relation), ...relation }));
    for (const relation of added) this.edges.set(relation.id, relation);
    return {
      concepts: [...given].flatMap((name) => this.nodes.get(name) ?? []),
      relations: added,
      newConcepts: this.nodes.size - before.nodes,
      newRelations: this.edges.size - before.edges,
    };
  }

  async view(limit: number): ReturnType<Graph['view']> {
    return {
      nodes: [...this.nodes.values()].slice(0, limit),
      edges: [...this.edges.values()],
      truncated: this.nodes.size > limit,
    };
  }

  async concepts(limit: number): Promise<Concept[]> {
    return [...this.nodes.values()].slice(0, limit);
  }

  async check(): Promise<void> {}
}

export const API_KEY = 'sk-test-7f3d2c1b0a';
export const SIGNING_KEY = 'ab'.repeat(32);

export function testConfig(ai: Partial<RemoteAi> = {}): PlatformConfig {
  return {
    ai: { provider: 'openai', model: 'gpt-test', baseUrl: null, apiKey: new Secret(API_KEY), ...ai },
    embedding: { provider: 'local', model: 'test', dimensions: 8 },
    objectStore: {
      endpoint: 'http://garage:3900',
      region: 'garage',
      bucket: 'documents',
      accessKeyId: 'GKtest',
      secretAccessKey: new Secret('secret-access-key'),
    },
  };
}

/** The app on fakes, and a client that is logged in. */
export function testApp(options: {
  users?: UserRecord[];
  config?: PlatformConfig;
  extractor?: Extractor;
  graph?: Graph;
  probes?: Probe[];
}) {
  const users = new Map(options.users?.map((user) => [user.username, user]));
  const config = options.config ?? testConfig();
  const lines: string[] = [];
  const log = jsonLog(config.ai.apiKey ? [config.ai.apiKey] : [], (line) => lines.push(line));
  const auth = createAuth({ find: async (username) => users.get(username) }, new Secret(SIGNING_KEY));
  const objects = new MemoryObjects();
  const rows = new MemoryRows();
  const graph = options.graph ?? new MemoryGraph();
  const shutdown = new AbortController();
  const app = createApp({
    version: 'test',
    config,
    auth,
    graph,
    documents: createDocuments(rows, objects, log),
    extractor: options.extractor ?? { extract: async () => ({ concepts: [], relations: [] }) },
    ready: readiness(options.probes ?? []),
    log,
    shutdown: shutdown.signal,
  });
  const as = async (method: string, path: string, body?: unknown): Promise<Response> =>
    app.request(path, {
      method,
      headers: {
        authorization: `Bearer ${await auth.issueToken({ username: 'ada', role: 'admin' })}`,
        'content-type': 'application/json',
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
  return { app, as, auth, objects, rows, graph, lines, shutdown };
}
