import { randomBytes } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ReleasePolicy } from '../../packages/engine/src/release/build.ts';
import type { ReleaseImage } from '../../packages/engine/src/release/manifest.ts';
import { parseSecretKey } from '../../packages/engine/src/release/minisign.ts';
import { type BuiltEngine, buildEngine } from '../../packages/engine/test/built-engine.ts';
import { formatPublicKey, newSecretKeyFile } from '../../packages/engine/test/releases.ts';
import { REPOSITORY } from './images.ts';
import { type ImageOptions, ReleaseImages } from './release-images.ts';

/** Services that a release replaces; a release has images of postgres, too, but no upgrade takes that one. */
const SERVICES = ['operator', 'gateway', 'api', 'web', 'postgres'];
/** Those of them that are the same in every release, unless it is asked for otherwise. */
const SAME_IN_ALL = ['gateway', 'postgres'];
export const FIRST = '1.0.0';

export interface ReleaseOptions extends ImageOptions {
  policy?: Partial<Omit<ReleasePolicy, 'healthGate'>>;
  healthGate?: Partial<ReleasePolicy['healthGate']>;
  /** What release.json says of the images, where it is to be something else than what was pushed. */
  change?: (images: Record<string, ReleaseImage>) => void;
  /** Services that have an image of their own in this release besides operator, api and web. */
  own?: string[];
  /** The images are those of this version, which was added before. */
  imagesOf?: string;
}

const policyOf = ({ policy, healthGate }: ReleaseOptions): ReleasePolicy => ({
  upgradeFrom: FIRST,
  rollbackTo: null,
  requiredStop: false,
  requires: {
    dockerApi: { min: '1.44', max: null },
    compose: '2.24.4',
    shim: '0.1.0',
    diskBytes: 100_000_000,
    memoryBytes: 500_000_000,
  },
  notes: 'Made by a test.',
  acceptsOldest: null,
  ...policy,
  healthGate: {
    checks: [
      { target: 'api', path: '/ready', status: 200 },
      { target: 'web', path: '/', status: 200 },
    ],
    timeoutSeconds: 40,
    stabilitySeconds: 5,
    ...healthGate,
  },
});

/**
 * A publisher of releases: images in the registry, and the signed documents in a folder, made by the product's own commands. Names are
 * unique, so that several tests can publish at once.
 */
export class Publisher {
  readonly images: ReleaseImages;
  /** What is published: channels.json, VERSION/release.json, and their signatures. */
  readonly folder: string;
  readonly #engine: BuiltEngine;
  readonly #defaults: ImageOptions;

  private constructor(images: ReleaseImages, engine: BuiltEngine, folder: string, defaults: ImageOptions) {
    this.images = images;
    this.#engine = engine;
    this.folder = folder;
    this.#defaults = defaults;
  }

  /** @param defaults what all images are made like */
  static async create(defaults: ImageOptions = {}): Promise<Publisher> {
    const images = new ReleaseImages(`kge2e-${randomBytes(4).toString('hex')}`);
    const engine = await buildEngine();
    const folder = await mkdtemp(join(tmpdir(), 'kge2e-releases-'));
    const secretKey = newSecretKeyFile();
    await writeFile(join(engine.folder, 'release.key'), secretKey, { mode: 0o600 });
    await writeFile(join(engine.folder, 'release.pub'), `${formatPublicKey(parseSecretKey(secretKey))}\n`);
    return new Publisher(images, engine, folder, defaults);
  }

  /** The public key, as `KG_RELEASE_KEYS` wants it. */
  publicKey(): Promise<string> {
    return readFile(join(this.#engine.folder, 'release.pub'), 'utf8');
  }

  /** Makes the images and the signed release.json of a version. It is in no list before `issue()`. */
  async add(version: string, options: ReleaseOptions = {}): Promise<void> {
    const made = { ...this.#defaults, ...options };
    const images = options.imagesOf
      ? await this.#imagesOf(options.imagesOf)
      : await this.#make(version, made, options.own ?? []);
    options.change?.(images);
    await this.#write('images.json', images);
    await this.#write('policy.json', policyOf(options));
    await this.#writeMigrations(made.migrations ?? {});
    const inputs = ['--images', 'images.json', '--policy', 'policy.json', '--dir', 'migrations'];
    const createdAt = ['--created-at', new Date().toISOString()];
    await this.#run('release', 'build', this.folder, version, ...inputs, ...createdAt);
    await this.#run('release', 'assets', this.folder, version, '--root', REPOSITORY);
    await this.#sign(`${version}/release.json`, `${version}/SHA256SUMS`);
  }

  /** Makes and signs the next list, of all that were added. @param args of `release channels` */
  async issue(args: string[] = [], issuedAt = new Date()): Promise<void> {
    await this.#run('release', 'channels', this.folder, ...args, '--issued-at', issuedAt.toISOString());
    await this.#sign('channels.json');
  }

  /** Keeps what is published now, for `restore()`. */
  async save(): Promise<string> {
    const saved = await mkdtemp(join(this.#engine.folder, 'saved-'));
    await cp(this.folder, saved, { recursive: true });
    return saved;
  }

  /** Publishes what was saved; what came later is gone. */
  async restore(saved: string): Promise<void> {
    for (const name of await readdir(this.folder))
      await rm(join(this.folder, name), { recursive: true, force: true });
    await cp(saved, this.folder, { recursive: true });
  }

  /** Changes a document that was signed, and not its signature. */
  async tamper(name: string, change: (text: string) => string): Promise<void> {
    const path = join(this.folder, name);
    const text = await readFile(path, 'utf8');
    if (change(text) === text) throw new Error(`${name} was not changed`);
    await writeFile(path, change(text));
  }

  /** Removes all it made; installations must be gone before. */
  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
    await this.#engine.remove();
    await this.images.remove();
  }

  async #make(version: string, options: ImageOptions, own: string[]): Promise<Record<string, ReleaseImage>> {
    const images: Record<string, ReleaseImage> = {};
    for (const service of SERVICES) {
      const isOwn = !SAME_IN_ALL.includes(service) || own.includes(service);
      images[service] = await this.images.make(service, isOwn ? version : FIRST, isOwn ? options : {});
    }
    return images;
  }

  async #imagesOf(version: string): Promise<Record<string, ReleaseImage>> {
    return JSON.parse(await readFile(join(this.folder, version, 'release.json'), 'utf8')).images;
  }

  async #writeMigrations(added: Record<string, string>): Promise<void> {
    const folder = join(this.#engine.folder, 'migrations');
    await rm(folder, { recursive: true, force: true });
    await cp(join(REPOSITORY, 'schema/migrations'), folder, { recursive: true });
    for (const [name, sql] of Object.entries(added)) await writeFile(join(folder, name), sql);
  }

  async #write(name: string, value: unknown): Promise<void> {
    await mkdir(this.#engine.folder, { recursive: true });
    await writeFile(join(this.#engine.folder, name), JSON.stringify(value));
  }

  #sign(...names: string[]): Promise<void> {
    const files = names.map((name) => join(this.folder, name));
    return this.#run('release', 'sign', ...files, '--key-file', 'release.key');
  }

  async #run(...args: string[]): Promise<void> {
    const { code, stdout, stderr } = await this.#engine.run(args, { KG_RELEASE_KEYS: 'release.pub' });
    if (code !== 0) throw new Error(`kg-operator ${args.join(' ')}: exit ${code}\n${stdout}\n${stderr}`);
  }
}

/** The name of the nth migration after the tree's. */
export async function nextMigration(n: number, name: string): Promise<string> {
  const ids = (await readdir(join(REPOSITORY, 'schema/migrations'))).map((file) => Number.parseInt(file, 10));
  return `${String(Math.max(...ids) + n).padStart(4, '0')}_${name}.sql`;
}

/** SQL by file name: what 1.1.0 adds, and what 1.2.0 adds to that. */
export async function exampleMigrations(): Promise<{
  expand: Record<string, string>;
  contract: Record<string, string>;
}> {
  const expand = {
    [await nextMigration(1, 'e2e_notes')]: [
      '-- kind: expand',
      'CREATE TABLE kg_api.e2e_notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL, old text);',
      "INSERT INTO kg_api.e2e_notes (body, old) SELECT 'note ' || n, 'old ' || n FROM generate_series(1, 100) n;",
    ].join('\n'),
  };
  const contract = {
    [await nextMigration(2, 'e2e_notes_without_old')]:
      '-- kind: contract\nALTER TABLE kg_api.e2e_notes DROP COLUMN old;',
  };
  return { expand, contract: { ...expand, ...contract } };
}

/**
 * The four good releases: 1.0.0 is the tree; 1.0.1 has other images only; 1.1.0 adds an `expand` migration and is a required stop; 1.2.0
 * adds a `contract` migration, after which 1.1.0 does not run any more. Channel `stable` is at 1.2.0.
 * @param versions which of them are published
 */
export async function publishExamples(
  publisher: Publisher,
  versions = ['1.0.0', '1.0.1', '1.1.0', '1.2.0'],
): Promise<void> {
  const { expand, contract } = await exampleMigrations();
  const examples: Record<string, ReleaseOptions> = {
    '1.0.0': {},
    '1.0.1': { policy: { rollbackTo: '1.0.0' } },
    '1.1.0': { migrations: expand, policy: { rollbackTo: '1.0.0', requiredStop: true } },
    '1.2.0': { migrations: contract, policy: { upgradeFrom: '1.1.0' } },
  };
  for (const version of versions) await publisher.add(version, examples[version]);
  await publisher.issue(['--set', `stable=${versions.at(-1)}`]);
}
