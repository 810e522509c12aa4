import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JournalEntry } from '../src/adapters/journal.ts';
import { OperatorError } from '../src/model/errors.ts';
import type { Step, StepKind, StepOf } from '../src/model/plan.ts';
import { readSettings } from '../src/model/settings.ts';
import type { ReleaseManifest } from '../src/release/manifest.ts';
import { isSchemaAccepted } from '../src/release/schema.ts';
import type { RunContext } from '../src/run/context.ts';
import { handOver } from '../src/upgrade/operator.ts';
import { pinnedAs, type ReleasePins, readPins } from '../src/upgrade/pins.ts';
import { pin, pinImages, recordRelease } from '../src/upgrade/record.ts';
import { runChange } from '../src/upgrade/run-change.ts';
import { container, declared, runningPlatform } from './observed.ts';

export interface Stop {
  /** Of the step in the plan of the run that is stopped. */
  index: number;
  when: 'before' | 'during' | 'after';
  how: 'kill' | 'error' | 'hang';
  /** In the run that undoes it. */
  inUndo?: boolean;
  /** What is stopped after it. */
  next?: Stop;
}

interface Database {
  head: string;
  rows: string[];
}

/** A runner: what its container would be. */
interface Process {
  run: string;
  image: string;
  ended: Promise<void>;
  dead: boolean;
}

/**
 * A platform that exists only here: containers, databases, runners, with real pins and signed documents in a folder. Steps do what
 * the real ones do to it, in halves, so that each can be stopped in its middle.
 */
export class FakePlatform {
  readonly containers = new Map<string, { images: string[]; up: boolean }>();
  readonly databases = new Map<string, Database>();
  readonly backups = new Set<string>();
  readonly pulled = new Set<string>();
  readonly migrated: string[] = [];
  /** Images that never become healthy. */
  readonly sick = new Set<string>();
  process: Process | null = null;
  /** For the next run that begins. */
  armed: Stop | null = null;
  #stop: (Stop & { run: string }) | null = null;
  readonly #root: string;
  readonly #journal: string[] = [];
  readonly #releases: Map<string, ReleaseManifest>;
  #time = 0;

  private constructor(root: string, releases: Map<string, ReleaseManifest>) {
    this.#root = root;
    this.#releases = releases;
  }

  static async create(releases: Map<string, ReleaseManifest>, first: ReleasePins): Promise<FakePlatform> {
    const root = await mkdtemp(join(tmpdir(), 'kg-fake-'));
    const platform = new FakePlatform(root, releases);
    const manifest = releases.get(first.version as string) as ReleaseManifest;
    platform.databases.set('kg', { head: manifest.schema.head, rows: ['a'] });
    for (const { name, oneShot } of declared) {
      if (oneShot) continue;
      platform.containers.set(name, { images: [first.images[pinnedAs(name)] ?? name], up: true });
    }
    await writeFile(join(root, '.operator.conf'), '');
    return platform;
  }

  get state(): string {
    return join(this.#root, '.operator');
  }

  get live(): Database {
    return this.databases.get('kg') as Database;
  }

  context(image: string | null = null): RunContext {
    const settings = { ...readSettings({ KG_ROOT: this.#root }), stateDirectory: this.state };
    return {
      settings,
      engineVersion: '1.0.0',
      hostname: 'nowhere',
      journal: {
        append: async (entry: object) =>
          void this.#journal.push(JSON.stringify({ at: '2026-11-23T12:00:00Z', ...entry })),
        read: async () => this.#journal.map((line) => JSON.parse(line) as JournalEntry),
      },
      signal: new AbortController().signal,
      clock: {
        now: () => this.#time,
        date: () => new Date('2026-11-23T12:00:00Z'),
        sleep: async (milliseconds: number) => {
          this.#time += milliseconds;
          await new Promise((resolve) => setImmediate(resolve));
        },
      },
      images: { find: async () => null },
      compose: { declaredServices: async () => declared },
      serviceMemo: { recall: async () => null, renew: async () => undefined },
      runtime: { removeScratch: async () => undefined, listContainers: async () => this.#observed() },
      observeDatabase: async () => {
        const { database } = runningPlatform();
        if (!database.reachable) throw new Error('reachable');
        return { ...database, schema: { ...database.schema, head: this.live.head } };
      },
      runner: {
        image,
        ownImage: async () => this.containers.get('operator')?.images[0] as string,
        start: async (next: string, run: string) => this.#start(next, run),
        current: async () => (this.process ? { run: this.process.run, since: '' } : null),
        stepAside: async () => async () => undefined,
      },
    } as unknown as RunContext;
  }

  /** Kills the runner, wherever it is. */
  kill(): void {
    if (this.process) this.process.dead = true;
    this.process = null;
  }

  /** Until no runner works any more; one that hangs is left. */
  async quiet(): Promise<void> {
    while (this.process) await this.process.ended;
  }

  /** What is wrong with a platform that should run this release. */
  async unlike(release: ReleasePins): Promise<string[]> {
    const wrong: string[] = [];
    for (const service of ['api', 'web', 'gateway']) {
      const { images, up } = this.containers.get(service) ?? { images: [], up: false };
      if (!up) wrong.push(`${service} is down`);
      if (images.length !== 1 || images[0] !== release.images[service])
        wrong.push(`${service} runs ${images}`);
    }
    const manifest = this.#releases.get(release.version as string) as ReleaseManifest;
    const newest = [...this.#releases.values()].at(-1) as ReleaseManifest;
    if (!isSchemaAccepted(manifest, this.live.head, newest.schema.migrations))
      wrong.push(`the schema is at ${this.live.head}`);
    if (!this.live.rows.includes('a')) wrong.push('a row is lost');
    const pins = await readPins(this.state);
    if (pins && pins.version !== release.version) wrong.push(`${pins.version} is pinned`);
    for (const [service, image] of Object.entries(pins?.images ?? {}))
      if (this.containers.get(service)?.images[0] !== image) wrong.push(`${service} is not as pinned`);
    return wrong;
  }

  #observed() {
    return [...this.containers].flatMap(([service, { images, up }]) =>
      images.map((image) =>
        container(service, { image, imageId: image, ...(up ? {} : { state: 'exited', health: 'none' }) }),
      ),
    );
  }

  #start(image: string, run: string): void {
    if (this.process && !this.process.dead && this.process.run !== run) throw new Error('there is one');
    if (this.armed) this.#stop = { ...this.armed, run };
    this.armed = null;
    const process: Process = { run, image, dead: false, ended: Promise.resolve() };
    this.process = process;
    const ended = runChange(this.context(image), run, {
      explain: (error) =>
        error instanceof OperatorError ? error : new OperatorError('BUG', String(error), { exitCode: 1 }),
      lock: async () => async () => undefined,
      execute: (step, context) => this.#execute(process, step, context),
    }).then(() => {
      if (this.process === process) this.process = null;
    });
    const killed = new Promise<void>((resolve) => {
      const look = () => (process.dead ? resolve() : setTimeout(look, 1).unref());
      look();
    });
    process.ended = Promise.race([ended, killed]);
  }

  async #execute(process: Process, step: Step, context: RunContext): Promise<void> {
    const stop = this.#stop?.run === process.run ? this.#stop : null;
    const last = (await context.journal.read()).findLast(({ event }) => event === 'step-started');
    const isHere =
      last?.event === 'step-started' &&
      last.index === stop?.index &&
      (last.run !== process.run) === (stop.inUndo ?? false);
    const at = async (when: Stop['when']) => {
      if (!isHere || stop?.when !== when) return;
      this.#stop = stop.next ? { ...stop.next, run: process.run } : null;
      if (stop.how === 'error') throw new OperatorError('FAILPOINT', 'failpoint', { exitCode: 7 });
      if (stop.how === 'kill') this.kill();
      process.dead = stop.how === 'kill';
      if (stop.how === 'hang') this.hangs?.();
      await new Promise<never>(() => undefined);
    };
    await at('before');
    const halves = HALVES[step.kind];
    if (!halves) throw new Error(`no fake of ${step.kind}`);
    const [first, second] = halves(this, step as never, context);
    await first();
    await at('during');
    await second?.();
    await at('after');
  }

  /** Told when a step hangs. */
  hangs: (() => void) | null = null;

  /** Names of databases beside the live one. */
  get kept(): { name: string; bytes: number }[] {
    return [...this.databases.keys()].filter((name) => name !== 'kg').map((name) => ({ name, bytes: 0 }));
  }
}

type Half = () => Promise<void> | void;
type Halves = {
  [K in StepKind]?: (platform: FakePlatform, step: StepOf<K>, context: RunContext) => [Half, Half?];
};

async function upFromPins(platform: FakePlatform, services: string[]): Promise<void> {
  const pins = await readPins(platform.state);
  for (const service of services) {
    const before = platform.containers.get(service)?.images ?? [];
    platform.containers.set(service, {
      images: [pins?.images[pinnedAs(service)] ?? (before[0] as string)],
      up: true,
    });
  }
}

const pair = <T>(items: T[]): [T[], T[]] => [items.slice(0, 1), items.slice(1)];
const nothing = () => undefined;

const HALVES: Halves = {
  'run-hook': () => [nothing],
  'pull-images': (platform, { images }) => {
    const [first, rest] = pair(images);
    const pull = (list: string[]) => () => {
      for (const image of list) platform.pulled.add(image);
    };
    return [pull(first), pull(rest)];
  },
  'write-backup': (platform, { id }) => [nothing, () => void platform.backups.add(id)],
  'verify-backup': (platform, { id }) => [
    () => {
      if (!platform.backups.has(id)) throw new Error('there is no backup');
    },
  ],
  'copy-backup': () => [nothing],
  'hand-over': (_platform, step, context) => [() => handOver(step, context)],
  'replace-operator': (platform, { version, image }, context) => [
    () => pin(context.settings.stateDirectory, version, { operator: image }),
    () => upFromPins(platform, ['operator', 'console']),
  ],
  'compose-stop': (platform, { services }) => {
    const [first, rest] = pair(services);
    const stop = (list: string[]) => () => {
      for (const name of list) Object.assign(platform.containers.get(name) ?? {}, { up: false });
    };
    return [stop(first), stop(rest)];
  },
  'copy-database': (platform, { database }) => [
    () => void platform.databases.delete(database),
    () => void platform.databases.set(database, { ...platform.live, rows: [...platform.live.rows] }),
  ],
  'drop-copy': (platform, { database }) => [() => void platform.databases.delete(database)],
  migrate: (platform, step) => {
    const todo = (step.pending ?? []).filter((id) => id > platform.live.head);
    const [first, rest] = pair(todo);
    const apply = (ids: string[]) => () => {
      for (const id of ids) {
        platform.migrated.push(id);
        platform.live.head = id;
      }
    };
    return [apply(first), apply(rest)];
  },
  'pin-images': (_platform, step, context) => [() => pinImages(step, context)],
  'roll-service': (platform, { service, image }) => [
    () => {
      const now = platform.containers.get(service) as { images: string[]; up: boolean };
      now.images = [...new Set([...now.images, image])];
    },
    () => {
      if (platform.sick.has(image)) {
        const now = platform.containers.get(service) as { images: string[] };
        now.images = now.images.filter((one) => one !== image);
        throw new OperatorError('APPLICATION_UNHEALTHY', `${service} is not healthy`, { exitCode: 7 });
      }
      platform.containers.set(service, { images: [image], up: true });
    },
  ],
  'compose-up': (platform, { services }) => {
    const [first, rest] = pair(services);
    return [() => upFromPins(platform, first), () => upFromPins(platform, rest)];
  },
  'wait-healthy': (platform, { services }) => [
    () => {
      for (const name of services)
        if (platform.containers.get(name)?.images.some((image) => platform.sick.has(image)))
          throw new OperatorError('UNHEALTHY', `${name} is not healthy`, { exitCode: 7 });
    },
  ],
  'health-gate': (platform) => [
    () => {
      for (const name of ['api', 'web', 'gateway'])
        if (!platform.containers.get(name)?.up)
          throw new OperatorError('HEALTH_GATE_FAILED', `${name} is down`, { exitCode: 7 });
    },
  ],
  'record-release': (_platform, step, context) => [() => recordRelease(step, context)],
  'swap-database': (platform, { incoming, outgoing }) => [
    nothing,
    () => {
      const next = platform.databases.get(incoming);
      if (!next) return; // it has happened
      platform.databases.set(outgoing, platform.live);
      platform.databases.set('kg', next);
      platform.databases.delete(incoming);
    },
  ],
  'prune-images': () => [nothing],
};
