import { createHash } from 'node:crypto';
import type { ReleaseImage } from '../../packages/engine/src/release/manifest.ts';
import { docker, dockerLines, expectCode, run } from './command.ts';
import { ensureImage } from './images.ts';

export const REGISTRY = '127.0.0.1:5000';

/** What the images of a release are made like, beside their version. */
export interface ImageOptions {
  /** Migrations that the operator's folder has beyond the tree's: SQL by file name. */
  migrations?: Record<string, string>;
  /** The operator has the marker without which KG_FAILPOINT does nothing. */
  failpoints?: boolean;
  /** More lines of a service's Dockerfile. */
  lines?: Record<string, string[]>;
}

/** An API that starts and never answers. */
export const NEVER_ANSWERS = ['CMD ["sleep", "infinity"]'];
/** An API that is well for so many seconds, then dies, again and again. */
export const diesAfter = (seconds: number) => [
  `CMD ["timeout", "-s", "KILL", "${seconds}", "node", "--enable-source-maps", "dist/main.js"]`,
];
/** An operator that does not go on by itself with an upgrade that was cut off: the test wants to see who does. */
export const LEAVES_IT_CUT_OFF = ["RUN sed -i '/runner --resume/d' /usr/local/bin/kg-idle"];
/** An operator that ends at once. */
export const NO_ENTRYPOINT = ['ENTRYPOINT ["/bin/false"]'];

/**
 * Images of releases, derived from the tree's own, in repositories `REGISTRY/NAME/kg-operator-SERVICE` of their own. What was pushed is
 * not kept here, so that an installation pulls it; layers that the tree's images have too are there all the same.
 */
export class ReleaseImages {
  /** As IMAGE_REGISTRY wants it. */
  readonly prefix: string;
  readonly #made = new Map<string, Promise<ReleaseImage>>();

  constructor(name: string) {
    this.prefix = `${REGISTRY}/${name}`;
  }

  /** Builds and pushes an image with tag `version`; the second time it is only named. */
  make(service: string, version: string, options: ImageOptions = {}): Promise<ReleaseImage> {
    const recipe = dockerfile(service, version, this.prefix, options);
    const name = `${this.prefix}/kg-operator-${service}`;
    const key = createHash('sha256').update(`${name}:${version}\0${recipe}`).digest('hex');
    const made = this.#made.get(key) ?? buildAndPush(service, `${name}:${version}`, recipe);
    this.#made.set(key, made);
    return made;
  }

  /** Points a tag at another image, as a publisher may at any time. */
  async moveTag(service: string, tag: string, toVersion: string): Promise<void> {
    const name = `${this.prefix}/kg-operator-${service}`;
    await docker('pull', '-q', `${name}:${toVersion}`);
    await docker('tag', `${name}:${toVersion}`, `${name}:${tag}`);
    await docker('push', '-q', `${name}:${tag}`);
    await docker('image', 'rm', `${name}:${tag}`);
  }

  /** Names by which Docker has images of these repositories here: `NAME:TAG` and `NAME@DIGEST`. */
  async local(): Promise<string[]> {
    const ids = await dockerLines('image', 'ls', '-q', '--filter', `reference=${this.prefix}/*`);
    if (ids.length === 0) return [];
    const format = '{{range .RepoTags}}{{println .}}{{end}}{{range .RepoDigests}}{{println .}}{{end}}';
    const names = await dockerLines('image', 'inspect', '-f', format, ...new Set(ids));
    return names.filter((name) => name.startsWith(`${this.prefix}/`));
  }

  /** Removes them here and in the registry. Layers stay in both: other runs have them, too. */
  async remove(): Promise<void> {
    const settled = await Promise.allSettled(this.#made.values());
    for (const one of settled) if (one.status === 'fulfilled') await removeFromRegistry(one.value);
    // A tag first: with the last tag of a repository go its digests.
    for (const name of await this.local()) await run('docker', ['image', 'rm', name]);
    const left = await this.local();
    if (left.length > 0) throw new Error(`still in use: ${left.join(', ')}`);
  }
}

function dockerfile(service: string, version: string, prefix: string, options: ImageOptions): string {
  const { migrations = {}, failpoints = false, lines = {} } = options;
  const text = [
    ...(service === 'operator' ? engineLines(version, migrations, failpoints) : []),
    ...(lines[service] ?? []),
    // The second so that no two runs make the same image: one would remove the other's.
    `LABEL org.opencontainers.image.version="${version}" kge2e="${prefix}"`,
  ];
  return `${text.join('\n')}\n`;
}

function engineLines(version: string, migrations: Record<string, string>, failpoints: boolean): string[] {
  const files = Object.entries(migrations).flatMap(([name, sql]) => [
    `COPY <<"END_OF_FILE" schema/migrations/${name}`,
    sql.trimEnd(),
    'END_OF_FILE',
  ]);
  // oclif compares the two; the compiled modules do not depend on them.
  const setVersion = `sed -i 's/"version": "[0-9][^"]*"/"version": "${version}"/' package.json oclif.manifest.json`;
  const stamp = [
    `sed -i 's/^KG_VERSION=.*/KG_VERSION=${version}/' standalone/operator.sh`,
    `sed -i 's/{IMAGE_TAG:-[^}]*}/{IMAGE_TAG:-${version}}/g' standalone/docker-compose.ghcr.yml`,
  ];
  return [
    `RUN ${[setVersion, ...stamp, ...(failpoints ? ['touch .failpoints'] : [])].join(' && ')}`,
    ...files,
  ];
}

async function buildAndPush(service: string, image: string, recipe: string): Promise<ReleaseImage> {
  const input = `FROM ${await ensureImage(service)}\n${recipe}`;
  expectCode(await run('docker', ['build', '-q', '--network', 'none', '-t', image, '-'], { input }));
  await docker('push', '-q', image);
  const format = '{{.Id}} {{.Os}}/{{.Architecture}} {{range .RepoDigests}}{{println .}}{{end}}';
  const [first = ''] = await dockerLines('image', 'inspect', '-f', format, image);
  const [config = '', platform = '', reference = ''] = first.split(' ');
  const [name = '', digest = ''] = reference.split('@');
  await docker('image', 'rm', image);
  return { name, digest: null, platforms: { [platform]: { digest, config } } };
}

/** Removes what its platforms are; an index of them is left, and names nothing then. */
export async function removeFromRegistry({ name, platforms }: ReleaseImage): Promise<void> {
  const repository = name.slice(REGISTRY.length + 1);
  for (const { digest } of Object.values(platforms)) {
    const url = `http://${REGISTRY}/v2/${repository}/manifests/${digest}`;
    const { status } = await fetch(url, { method: 'DELETE' });
    if (status !== 202 && status !== 404) throw new Error(`DELETE ${url}: ${status}`);
  }
}
