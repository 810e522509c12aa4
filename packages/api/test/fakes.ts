import {
  claimTokenHash,
  type PlatformConfig,
  type PlatformSettings,
  type RemoteAi,
  Secret,
  settingsOf,
} from '@kg-operator/config';
import { createAccounts } from '../src/accounts.ts';
import { createApp } from '../src/app.ts';
import { createAuth } from '../src/auth.ts';
import { type ClaimStore, createClaims } from '../src/claims.ts';
import { createDocuments, type DocumentRow, type DocumentRows } from '../src/documents.ts';
import type { Extractor } from '../src/extract/index.ts';
import { type Concept, ConceptMissing, type Graph, type Relation, relationId } from '../src/graph.ts';
import { InForce } from '../src/in-force.ts';
import { jsonLog, Redaction } from '../src/log.ts';
import type { LoginAttempts } from '../src/login-attempts.ts';
import type { ObjectStore } from '../src/objects/index.ts';
import { type Probe, readiness } from '../src/ready.ts';
import { signingKeys } from '../src/signing-keys.ts';
import type { Snapshot } from '../src/snapshot.ts';
import type { UserRecord, UserStore } from '../src/users.ts';

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

  close(): void {}

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

export function testConfig(
  ai: Partial<RemoteAi> = {},
  settings: Partial<PlatformSettings> = {},
): PlatformConfig {
  return {
    version: '1',
    ai: {
      provider: 'openai',
      protocol: 'openai',
      model: 'gpt-test',
      baseUrl: 'https://api.openai.com/v1',
      apiKey: new Secret(API_KEY),
      options: {},
      ...ai,
    },
    embedding: {
      provider: 'local',
      model: 'test',
      dimensions: 8,
      baseUrl: null,
      apiKey: null,
      precision: 'float32',
    },
    objectStore: {
      endpoint: 'http://garage:3900',
      region: 'garage',
      bucket: 'documents',
      accessKeyId: 'GKtest',
      secretAccessKey: new Secret('secret-access-key'),
    },
    settings: { ...settingsOf([]), ...settings },
    users: [{ username: 'ada', role: 'admin', disabled: false, passwordSetAt: new Date(0) }],
    previousSigningKey: null,
  };
}

/** Users in memory. */
export class MemoryUsers implements UserStore {
  readonly users: Map<string, UserRecord>;
  finds = 0;

  constructor(users: UserRecord[]) {
    this.users = new Map(users.map((user) => [user.username, user]));
  }

  async find(username: string): Promise<UserRecord | undefined> {
    this.finds += 1;
    return this.users.get(username);
  }

  async setPassword(user: UserRecord, passwordHash: string): Promise<UserRecord | undefined> {
    if (this.users.get(user.username)?.passwordHash !== user.passwordHash) return undefined;
    const changed = { ...user, passwordHash, passwordSetAt: new Date() };
    this.users.set(user.username, changed);
    return changed;
  }
}

/** One claim in memory; its contract with the database is proven in test/contract/claims.ts. */
export class MemoryClaims implements ClaimStore {
  /** The token that counts. */
  token: string | null = null;
  looks = 0;
  /** Who was made admin. */
  readonly made: string[] = [];

  async counts(tokenHash: Buffer): Promise<boolean> {
    this.looks += 1;
    return this.token !== null && claimTokenHash(new Secret(this.token)).equals(tokenHash);
  }

  async use(tokenHash: Buffer, { username, passwordHash }: { username: string; passwordHash: string }) {
    if (!(await this.counts(tokenHash))) return null;
    if (username === 'taken') return 'taken' as const;
    this.token = null;
    this.made.push(username);
    return { username, passwordHash, disabled: false, passwordSetAt: new Date() };
  }
}

/** The app on fakes, and a client that is logged in as `ada`. */
export function testApp(options: {
  users?: UserRecord[];
  config?: PlatformConfig;
  extractor?: Extractor;
  graph?: Graph;
  probes?: Probe[];
  attempts?: LoginAttempts;
  claimAttempts?: LoginAttempts;
}) {
  const lines: string[] = [];
  const redaction = new Redaction();
  redaction.add([new Secret(API_KEY)]);
  const log = jsonLog(redaction, (line) => lines.push(line));
  const objects = new MemoryObjects();
  const rows = new MemoryRows();
  const users = new MemoryUsers(options.users ?? []);
  const claims = new MemoryClaims();
  const graph = options.graph ?? new MemoryGraph();
  const shutdown = new AbortController();
  const snapshotOf = (config: PlatformConfig): Snapshot => ({
    config,
    auth: createAuth({
      users: config.users,
      keys: signingKeys(new Secret(SIGNING_KEY), config.previousSigningKey),
      tokenLifetime: config.settings['auth.token-lifetime'],
    }),
    objects,
    documents: createDocuments(rows, objects, log),
    extractor: options.extractor ?? { extract: async () => ({ concepts: [], relations: [] }) },
  });
  const inForce = new InForce(snapshotOf(options.config ?? testConfig()), () => {});
  const app = createApp({
    version: 'test',
    inForce,
    accounts: createAccounts(users, options.attempts),
    claims: createClaims(claims, options.claimAttempts),
    graph,
    ready: readiness(options.probes ?? []),
    log,
    shutdown: shutdown.signal,
  });
  /** A token of `ada` for the configuration in force. */
  const token = async () =>
    (await inForce.current.auth.issueToken({ username: 'ada', passwordSetAt: new Date(0) })).access_token;
  const as = async (method: string, path: string, body?: unknown): Promise<Response> =>
    app.request(path, {
      method,
      headers: { authorization: `Bearer ${await token()}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
  /** What a change of configuration does. */
  const configure = (config: PlatformConfig) => inForce.replace(snapshotOf(config));
  return { app, as, token, configure, inForce, objects, rows, users, claims, graph, lines, shutdown };
}
