import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { copyFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { STANDALONE_FILES } from '../../packages/engine/src/release/assets.ts';
import {
  type Answer,
  begin,
  docker,
  dockerLines,
  expectCode,
  onTerminal,
  type Result,
  type Running,
  type RunOptions,
  run,
} from './command.ts';
import { imageTag, REPOSITORY, removeOtherImages, workingTree } from './images.ts';
import { type ProcessList, watchProcesses } from './process-list.ts';
import { FIRST, type Publisher } from './releases.ts';

export const ADMIN_PASSWORD = `e2e admin ${randomBytes(9).toString('hex')}`;
export const AI_KEY = `sk-e2e-${randomBytes(18).toString('hex')}`;

export interface JsonDocument<T = Record<string, unknown>> {
  schemaVersion: number;
  ok: boolean;
  command: string;
  data: T;
  error: { code: string; message: string; hint?: string; details?: string[] };
  warnings: string[];
}

export interface ApiAnswer<T = Record<string, unknown>> {
  status: number;
  body: T;
}

const fitsSchema = new Ajv2020({ strictRequired: false, strictTypes: false }).compile(
  JSON.parse(readFileSync(join(REPOSITORY, 'schema/json/document.schema.json'), 'utf8')),
);

/** What `docker inspect` says that the tests look at. */
export interface Inspected {
  Id: string;
  /** The id of its image. */
  Image: string;
  State: {
    Status: string;
    ExitCode: number;
    StartedAt: string;
    FinishedAt: string;
    Health?: { Status: string };
  };
  Config: { Image: string; Labels: Record<string, string> };
  NetworkSettings: { Networks: Record<string, { IPAddress: string }> };
}

/**
 * A whole installation of the working tree in a directory of its own, in development mode unless said otherwise, with its own project
 * name, ports and image tag. What it prints and every command line of the host while it exists are kept, for `secrets.ts`.
 */
export class Installation {
  readonly results: Result[] = [];
  readonly root: string;
  readonly prefix: string;
  readonly apiPort: number;
  readonly webPort: number;
  readonly processes: ProcessList;
  /** Given to every `./operator.sh` of it. */
  environment: Record<string, string> = {};
  #token: string | undefined;

  private constructor(fields: Pick<Installation, 'root' | 'prefix' | 'apiPort' | 'webPort' | 'processes'>) {
    this.root = fields.root;
    this.prefix = fields.prefix;
    this.apiPort = fields.apiPort;
    this.webPort = fields.webPort;
    this.processes = fields.processes;
  }

  static async create({ dev = true } = {}): Promise<Installation> {
    const root = join(await mkdtemp(join(tmpdir(), 'kge2e-')), 'with a space');
    const files = await workingTree();
    await copyTree(files, root);
    const tag = await imageTag(files);
    await removeOtherImages(tag);
    const prefix = `kge2e-${randomBytes(4).toString('hex')}`;
    const [apiPort, webPort] = await freePorts();
    const processes = await watchProcesses();
    const installation = new Installation({ root, prefix, apiPort, webPort, processes });
    await installation.configure({
      CONTAINER_PREFIX: prefix,
      IMAGE_SOURCE: 'local',
      IMAGE_TAG: tag,
      DEV_MODE: String(dev),
      API_PORT: apiPort,
      WEB_PORT: webPort,
    });
    return installation;
  }

  /**
   * One without the repository: what is downloaded, in a directory of its own, with the images that were published as 1.0.0 and the
   * publisher's releases.
   */
  static async standalone(publisher: Publisher): Promise<Installation> {
    const root = join(await mkdtemp(join(tmpdir(), 'kge2e-')), 'with a space');
    for (const [from, to] of STANDALONE_FILES) {
      await mkdir(dirname(join(root, to)), { recursive: true });
      await copyFile(join(REPOSITORY, from), join(root, to));
    }
    await writeFile(join(root, 'release.pub'), await publisher.publicKey());
    const prefix = `kge2e-${randomBytes(4).toString('hex')}`;
    const [apiPort, webPort] = await freePorts();
    const processes = await watchProcesses();
    const installation = new Installation({ root, prefix, apiPort, webPort, processes });
    installation.environment = {
      KG_RELEASES: installation.path('releases'),
      KG_RELEASE_KEYS: installation.path('release.pub'),
    };
    await installation.takeReleases(publisher);
    await installation.configure({
      CONTAINER_PREFIX: prefix,
      IMAGE_SOURCE: 'ghcr',
      IMAGE_REGISTRY: publisher.images.prefix,
      IMAGE_TAG: FIRST,
      API_PORT: apiPort,
      WEB_PORT: webPort,
    });
    return installation;
  }

  /** One that is not there yet: install.sh will lay it out in `root`. */
  static async planned(name = 'with a space'): Promise<Installation> {
    const root = join(await mkdtemp(join(tmpdir(), 'kge2e-')), name);
    const prefix = `kge2e-${randomBytes(4).toString('hex')}`;
    const [apiPort, webPort] = await freePorts();
    return new Installation({ root, prefix, apiPort, webPort, processes: await watchProcesses() });
  }

  /** Copies what is published now to where its operator sees it. */
  async takeReleases({ folder }: Publisher): Promise<void> {
    await rm(this.path('releases'), { recursive: true, force: true });
    await cp(folder, this.path('releases'), { recursive: true });
  }

  configure(settings: Record<string, string | number>): Promise<void> {
    const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}\n`);
    return writeFile(this.path('.operator.conf'), lines.join(''));
  }

  path(...parts: string[]): string {
    return join(this.root, ...parts);
  }

  async run(args: string[], options: Omit<RunOptions, 'cwd'> = {}): Promise<Result> {
    return this.#keep(await run('./operator.sh', args, this.#here(options)));
  }

  /** The same, which must exit 0. */
  async ok(args: string[], options: Omit<RunOptions, 'cwd'> = {}): Promise<Result> {
    return expectCode(await this.run(args, options));
  }

  /** Runs with `--json`: the exit code and the one document on stdout. */
  async json<T = Record<string, unknown>>(
    args: string[],
    options: Omit<RunOptions, 'cwd'> = {},
  ): Promise<{ code: number; document: JsonDocument<T>; result: Result }> {
    const result = await this.run([...args, '--json'], options);
    try {
      const document = JSON.parse(result.stdout) as JsonDocument<T>;
      if (!fitsSchema(document)) throw new Error(JSON.stringify(fitsSchema.errors));
      return { code: result.code, document, result };
    } catch (error) {
      throw new Error(
        `${result.command}: stdout is not one JSON document as the schema describes it\n${result.stdout}\n${result.stderr}`,
        {
          cause: error,
        },
      );
    }
  }

  begin(args: string[], options: Omit<RunOptions, 'cwd'> = {}): Running {
    const running = begin('./operator.sh', args, this.#here(options));
    running.done.then(
      (result) => this.#keep(result),
      () => undefined,
    );
    return running;
  }

  async terminal(command: string, answers: Answer[], options: Omit<RunOptions, 'cwd'> = {}): Promise<Result> {
    return this.#keep(await onTerminal(command, answers, this.#here(options)));
  }

  /** Docker Compose by hand, as a person does it after `eval "$(./operator.sh env)"`. */
  compose(...args: string[]): Promise<Result> {
    const script = 'eval "$(./operator.sh env)" && exec docker compose "$@"';
    return run('sh', ['-c', script, 'sh', ...args], { cwd: this.root });
  }

  /** Rows of a statement through `./operator.sh psql`, one text per row. */
  async psql(sql: string): Promise<string[]> {
    const { stdout } = await this.ok(['psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-f', '-'], {
      input: sql,
    });
    return stdout.split('\n').filter(Boolean);
  }

  async logIn(password = ADMIN_PASSWORD, username = 'admin'): Promise<ApiAnswer<{ access_token?: string }>> {
    const answer = await this.#fetch<{ access_token?: string }>('/oauth/token', {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'password', username, password }),
    });
    if (answer.body.access_token) this.#token = answer.body.access_token;
    return answer;
  }

  /** A call through the gateway with the token of the last login. */
  api<T = Record<string, unknown>>(
    method: 'GET' | 'POST',
    path: string,
    body?: unknown,
  ): Promise<ApiAnswer<T>> {
    return this.#fetch<T>(path, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  async #fetch<T>(path: string, init: RequestInit): Promise<ApiAnswer<T>> {
    const response = await fetch(`http://127.0.0.1:${this.apiPort}${path}`, {
      ...init,
      signal: AbortSignal.timeout(30_000),
    });
    return { status: response.status, body: (await response.json()) as T };
  }

  /** All of its containers, by service. */
  async containers(): Promise<Record<string, Inspected>> {
    const ids = await dockerLines(
      'ps',
      '-aq',
      '--no-trunc',
      '--filter',
      `label=com.docker.compose.project=${this.prefix}`,
    );
    if (ids.length === 0) return {};
    const all = JSON.parse(await docker('inspect', ...ids)) as Inspected[];
    return Object.fromEntries(
      all.map((one) => [one.Config.Labels['com.docker.compose.service'] ?? one.Id, one]),
    );
  }

  async containerIds(): Promise<Record<string, string>> {
    const containers = Object.entries(await this.containers());
    return Object.fromEntries(containers.map(([service, { Id }]) => [service, Id]));
  }

  async isRunning(service: string): Promise<boolean> {
    return (await this.containers())[service]?.State.Status === 'running';
  }

  /** Names of its containers, volumes and networks. */
  async leftovers(): Promise<string[]> {
    const mine = ['--filter', `label=com.docker.compose.project=${this.prefix}`];
    const lists = await Promise.all([
      dockerLines('ps', '-a', '--format', '{{.Names}}', ...mine),
      dockerLines('volume', 'ls', '--format', '{{.Name}}', ...mine),
      dockerLines('network', 'ls', '--format', '{{.Name}}', ...mine),
    ]);
    return lists.flat();
  }

  /** The values of `.env`, by name. */
  async env(): Promise<Record<string, string>> {
    const file = await readFile(this.path('.env'), 'utf8');
    const pairs = file.split('\n').filter((line) => /^[A-Z]/.test(line));
    return Object.fromEntries(pairs.map((line) => line.split(/=(.*)/s).slice(0, 2))) as Record<
      string,
      string
    >;
  }

  /**
   * Tears it down as a person would, removes by label whatever that left, and deletes the directory.
   * @throws Error when teardown failed or left something
   */
  async destroy(): Promise<void> {
    const teardown = await this.run(['teardown', '--volumes', '--confirm', this.prefix]).catch(
      (error: Error) => error,
    );
    const left = await this.leftovers();
    await this.removeByLabel();
    await this.processes.stop();
    await rm(dirname(this.root), { recursive: true, force: true });
    if (teardown instanceof Error) throw teardown;
    expectCode(teardown);
    if (left.length > 0) throw new Error(`teardown --volumes left ${left.join(', ')}`);
  }

  async removeByLabel(): Promise<void> {
    const mine = ['--filter', `label=com.docker.compose.project=${this.prefix}`, '-q'];
    const containers = await dockerLines('ps', '-a', ...mine);
    if (containers.length > 0) await docker('rm', '-f', ...containers);
    const volumes = await dockerLines('volume', 'ls', ...mine);
    if (volumes.length > 0) await docker('volume', 'rm', ...volumes);
    const networks = await dockerLines('network', 'ls', ...mine);
    if (networks.length > 0) await docker('network', 'rm', ...networks);
  }

  #here(options: Omit<RunOptions, 'cwd'>): RunOptions {
    return { ...options, env: { ...this.environment, ...options.env }, cwd: this.root };
  }

  #keep(result: Result): Result {
    this.results.push(result);
    return result;
  }
}

/** Copies the working tree, modes included. */
async function copyTree(paths: string[], to: string): Promise<void> {
  for (const path of paths) {
    await mkdir(dirname(join(to, path)), { recursive: true });
    await copyFile(join(REPOSITORY, path), join(to, path));
  }
}

export async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()];
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports as [number, number];
}
