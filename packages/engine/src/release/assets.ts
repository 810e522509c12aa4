import { gzipSync } from 'node:zlib';
import tar from 'tar-stream';
import { EXIT, OperatorError } from '../model/errors.ts';
import { formatPins } from '../upgrade/pins.ts';
import { collect } from './bundle-members.ts';
import { sha256 } from './document.ts';
import type { ReleaseImage, ReleaseManifest } from './manifest.ts';
import { formatPublicKey, type PublicKey } from './minisign.ts';

/**
 * What an installation without the repository consists of: where it is in the repository, and where in the installation. The operator
 * image carries the same (docker/operator/Dockerfile).
 */
export const STANDALONE_FILES = [
  ['operator.sh', 'operator.sh'],
  ['.operator.conf.example', '.operator.conf.example'],
  ['docker/docker-compose.yml', 'docker-compose.yml'],
  ['docker/docker-compose.ghcr.yml', 'docker-compose.ghcr.yml'],
  ['docker/docker-compose.tls.yml', 'docker-compose.tls.yml'],
  ['docker/garage/garage.toml', 'garage/garage.toml'],
  ['LICENSE', 'LICENSE'],
] as const;

/** Beside release.json, and signed as it is. */
export const SUMS = 'SHA256SUMS';
export const sumsName = (version: string) => `${version}/${SUMS}`;
/** No file that install.sh downloads is larger, in bytes. */
export const ASSET_LIMIT = 64 * 1024 * 1024;
export const archiveName = (version: string) => `kg-${version}.tar.gz`;

export interface AssetsInput {
  manifest: ReleaseManifest;
  /** Its bytes. */
  release: Uint8Array;
  /** By their names in the installation. */
  files: Readonly<Record<string, Uint8Array>>;
  /** The template of install.sh. */
  installer: Uint8Array;
  /** Where installations of this publisher find releases; null: install.sh must be told. */
  url: string | null;
  keys: { trusted: readonly PublicKey[]; revoked: readonly string[] };
}

export interface Assets {
  archive: Buffer;
  installer: Buffer;
  sums: Buffer;
}

/** What install.sh downloads. The same input gives the same bytes. @throws OperatorError IMAGE_AMBIGUOUS, TEMPLATE_INVALID, SOURCE_INVALID */
export async function buildAssets(input: AssetsInput): Promise<Assets> {
  const { version, createdAt } = input.manifest;
  const stamped = Object.entries(input.files).map(
    ([name, bytes]) => [name, stampVersion(name, bytes, version)] as const,
  );
  const pins = Buffer.from(formatPins({ version, images: pinnedImages(input.manifest) }));
  const members = [...stamped, ['.operator/release.env', pins] as const].toSorted(([a], [b]) =>
    a < b ? -1 : 1,
  );
  const archive = await pack(`kg-${version}`, members, new Date(createdAt));
  const installer = stampInstaller(input);
  const sums = [
    [input.release, 'release.json'],
    [archive, archiveName(version)],
    [installer, 'install.sh'],
  ] as const;
  const lines = sums.map(([bytes, name]) => `${sha256(bytes)}  ${name}\n`);
  return { archive, installer, sums: Buffer.from(lines.join('')) };
}

/** A SHA256SUMS: the version it is of, and SHA-256 by name. @throws OperatorError SUMS_INVALID */
export function parseSums(bytes: Uint8Array): { version: string; sums: Map<string, string> } {
  const lines = Buffer.from(bytes).toString('utf8').split('\n');
  const pairs = lines.slice(0, -1).map((line) => /^([0-9a-f]{64}) {2}([A-Za-z0-9._+-]+)$/.exec(line));
  const sums = new Map(pairs.map((pair) => [pair?.[2] ?? '', pair?.[1] ?? '']));
  const [version] = [...sums.keys()].flatMap((name) => /^kg-(.+)\.tar\.gz$/.exec(name)?.slice(1) ?? []);
  if (lines.at(-1) === '' && !sums.has('') && sums.has('release.json') && version) return { version, sums };
  throw new OperatorError('SUMS_INVALID', `this is no ${SUMS} of a release`, {
    exitCode: EXIT.precondition,
    hint: 'kg-operator release assets writes it',
  });
}

/** Files say the version of the release they belong to; in the repository that of the next one. */
export function stampVersion(name: string, bytes: Uint8Array, version: string): Buffer {
  const text = Buffer.from(bytes).toString('utf8');
  if (name === 'operator.sh')
    return Buffer.from(replaceOnce(text, /^KG_VERSION=.*$/m, `KG_VERSION=${version}`, name));
  if (name === 'docker-compose.ghcr.yml')
    return Buffer.from(text.replaceAll(/\{IMAGE_TAG:-[^}]*\}/g, `{IMAGE_TAG:-${version}}`));
  return Buffer.from(bytes);
}

/** What goes into a shell script, between quotes. */
const URL_PATTERN = /^(?:https:\/\/|http:\/\/(?:127\.0\.0\.1|localhost)[:/])[A-Za-z0-9._~:/[\]%+-]+$/;

function stampInstaller({ manifest, installer, url, keys }: AssetsInput): Buffer {
  if (url !== null && !URL_PATTERN.test(url))
    throw new OperatorError('SOURCE_INVALID', `${url} is not where releases can be published`, {
      exitCode: EXIT.usage,
      hint: 'name a URL that begins with https://',
    });
  let text = Buffer.from(installer).toString('utf8');
  const registry = manifest.images.operator?.name.replace(/\/[^/]*$/, '');
  if (registry)
    text = replaceOnce(text, /^REGISTRY_DEFAULT='[^']*'/m, `REGISTRY_DEFAULT='${registry}'`, 'install.sh');
  const trusted = keys.trusted.filter(({ id }) => !keys.revoked.includes(id)).map(formatPublicKey);
  text = replaceOnce(text, /^RELEASE_KEYS=''/m, `RELEASE_KEYS='${trusted.join(' ')}'`, 'install.sh');
  text = replaceOnce(text, /^RELEASES_URL=''/m, `RELEASES_URL='${url ?? ''}'`, 'install.sh');
  return Buffer.from(text);
}

function replaceOnce(text: string, pattern: RegExp, value: string, name: string): string {
  if (pattern.test(text)) return text.replace(pattern, () => value);
  throw new OperatorError('TEMPLATE_INVALID', `${name}: nothing matches ${pattern.source}`, {
    exitCode: EXIT.precondition,
    hint: 'give the root of the repository: --root DIR',
  });
}

function pinnedImages({ images }: ReleaseManifest): Record<string, string> {
  return Object.fromEntries(
    Object.entries(images).map(([service, image]) => [service, `${image.name}@${digestOf(service, image)}`]),
  );
}

/** The index, which every platform pulls; or that of the only platform there is. */
function digestOf(service: string, { digest, platforms }: ReleaseImage): string {
  const [only, ...others] = Object.values(platforms);
  if (digest) return digest;
  if (only && others.length === 0) return only.digest;
  throw new OperatorError(
    'IMAGE_AMBIGUOUS',
    `images.${service} has several platforms and no digest of an index`,
    {
      exitCode: EXIT.precondition,
      hint: 'push the index (docker buildx imagetools create), and name its digest',
    },
  );
}

/** A tar of plain files in one folder, owned by nobody in particular, compressed. */
async function pack(
  folder: string,
  members: readonly (readonly [string, Uint8Array])[],
  mtime: Date,
): Promise<Buffer> {
  const archive = tar.pack();
  for (const [name, bytes] of members) {
    const mode = name.endsWith('.sh') ? 0o755 : 0o644;
    archive.entry({ name: `${folder}/${name}`, mode, mtime, uid: 0, gid: 0 }, Buffer.from(bytes));
  }
  archive.finalize();
  return gzipSync(await collect(archive as AsyncIterable<Uint8Array>), { level: 9 });
}
