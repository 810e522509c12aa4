import { OperatorError } from '../model/errors.ts';
import { ASSET_LIMIT, parseSums, sumsName } from './assets.ts';
import { type Channels, freshnessProblem } from './channels.ts';
import { CHANNELS, releaseName, sha256 } from './document.ts';
import type { TrustedKeys } from './keys.ts';
import type { ReleaseManifest, ReleaseMigration } from './manifest.ts';
import { findPath, rollbackTargets } from './path.ts';
import type { Published, PublishedRelease } from './published.ts';
import { isSchemaAccepted } from './schema.ts';
import { readSigned, verifySignatures } from './signature.ts';
import type { ReleaseSource } from './source.ts';
import { compareVersions, isPrerelease } from './version.ts';

/** Something that would harm an installation if it were published. */
export interface ReleaseFinding {
  rule: ReleaseRule;
  /** The file it is about. */
  file: string;
  message: string;
}

/** What is looked for. */
export const RELEASE_RULES = {
  'list-missing': 'there is no channels.json',
  'list-differs': 'channels.json and a release.json do not say the same, or one of them is missing',
  expired: 'channels.json has expired, or is from the future',
  counter: 'the counter is not higher than that of the issue before',
  'published-changed': 'a release that was published is gone, or its release.json is another',
  'channel-withdrawn': 'the newest version of a channel was withdrawn',
  'no-path': 'from a published version no path leads to the newest of a channel',
  'stop-prerelease': 'a pre-release is a required stop: who runs no pre-releases could not pass it',
  'migrations-order': 'the migrations of a release do not begin with those of the release before',
  'migrations-differ': 'the newest release does not list the migrations of the folder',
  'rollback-schema': 'rollbackTo includes a version that does not run on the schema of the release',
  'assets-differ': 'SHA256SUMS does not say the same as the files beside it, or one of them is missing',
  signature: 'a signature is missing, or none is by a key that the engine trusts',
} as const;
export type ReleaseRule = keyof typeof RELEASE_RULES;

export interface LintInput extends Published {
  /** The issue that is published now; null: none, or not told. */
  previous: Channels | null;
  /** Of the newest version; null: not told. */
  migrations: readonly ReleaseMigration[] | null;
  now: Date;
}

/** Everything that is wrong with releases about to be published: replays the path solver over all of them. Pure. */
export function lintReleases(input: LintInput): ReleaseFinding[] {
  const { channels, now } = input;
  const releases = input.releases.toSorted((a, b) => compareVersions(a.manifest.version, b.manifest.version));
  const manifests = releases.map(({ manifest }) => manifest);
  if (!channels)
    return [finding('list-missing', CHANNELS, 'it is missing'), ...schemaFindings(manifests, input)];
  const stale = freshnessProblem(channels, now);
  return [
    ...differences(channels, releases),
    ...(stale ? [finding('expired', CHANNELS, stale.message)] : []),
    ...changes(channels, input.previous),
    ...channelFindings(channels),
    ...schemaFindings(manifests, input),
    ...rollbackFindings(channels, manifests),
  ];
}

/** Whether what install.sh downloads is what the SHA256SUMS of each release says; a release without one can't be installed by it. */
export async function lintAssets(source: ReleaseSource, { releases }: Published): Promise<ReleaseFinding[]> {
  const found: ReleaseFinding[] = [];
  for (const { version } of await withSums(source, releases)) {
    const differs = (message: string) => found.push(finding('assets-differ', sumsName(version), message));
    try {
      const { version: said, sums } = parseSums(await source.read(sumsName(version), ASSET_LIMIT));
      if (said !== version) differs(`it is that of ${said}`);
      for (const [name, sum] of sums)
        if (sha256(await source.read(`${version}/${name}`, ASSET_LIMIT)) !== sum)
          differs(`${name} is another file`);
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      differs(error.message);
    }
  }
  return found;
}

async function withSums(source: ReleaseSource, releases: PublishedRelease[]): Promise<ReleaseManifest[]> {
  const manifests = releases.map(({ manifest }) => manifest);
  const there = await Promise.all(
    manifests.map(({ version }) =>
      source.read(sumsName(version), ASSET_LIMIT).then(
        () => true,
        (error) => !(error instanceof OperatorError && error.code === 'SOURCE_FILE_MISSING'),
      ),
    ),
  );
  return manifests.filter((_, index) => there[index]);
}

/** Whether every document is signed as installations want it. */
export async function lintSignatures(
  source: ReleaseSource,
  { channels, releases }: Published,
  keys: TrustedKeys,
): Promise<ReleaseFinding[]> {
  const found: ReleaseFinding[] = [];
  const names = [
    ...releases.map(({ manifest }) => releaseName(manifest.version)),
    ...(await withSums(source, releases)).map(({ version }) => sumsName(version)),
  ];
  for (const name of [...(channels ? [CHANNELS] : []), ...names]) {
    try {
      const { bytes, signatures } = await readSigned(source, name);
      verifySignatures(name, bytes, signatures, keys);
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      found.push(finding('signature', name, [error.message, ...error.details].join('; ')));
    }
  }
  return found;
}

function differences(channels: Channels, releases: PublishedRelease[]): ReleaseFinding[] {
  const files = new Map(releases.map((release) => [release.manifest.version, release]));
  return channels.releases.flatMap((listed) => {
    const file = releaseName(listed.version);
    const release = files.get(listed.version);
    if (!release) return [finding('list-differs', file, 'it is missing')];
    const { manifest, bytes } = release;
    const wrong = (['version', 'requiredStop', 'upgradeFrom', 'rollbackTo'] as const)
      .filter((name) => manifest[name] !== listed[name])
      .map((name) => `${name} is ${manifest[name]}, channels.json says ${listed[name]}`);
    if (sha256(bytes) !== listed.sha256)
      wrong.push(`its SHA-256 is ${sha256(bytes)}, channels.json says ${listed.sha256}`);
    return wrong.map((message) => finding('list-differs', file, message));
  });
}

function changes(channels: Channels, previous: Channels | null): ReleaseFinding[] {
  if (!previous) return [];
  const now = new Map(channels.releases.map(({ version, sha256 }) => [version, sha256]));
  const found = previous.releases
    .filter(({ version, sha256 }) => now.get(version) !== sha256)
    .map(({ version }) =>
      finding(
        'published-changed',
        releaseName(version),
        now.has(version)
          ? 'it is not the one that was published'
          : 'it was published, and is not listed any more',
      ),
    );
  if (channels.counter > previous.counter) return found;
  return [
    finding(
      'counter',
      CHANNELS,
      `the counter is ${channels.counter}, the published one is ${previous.counter}`,
    ),
    ...found,
  ];
}

function channelFindings({ channels, releases, yanked }: Channels): ReleaseFinding[] {
  return Object.entries(channels).flatMap(([channel, head]) => {
    const gone = yanked.find(({ version }) => version === head);
    if (gone)
      return [finding('channel-withdrawn', CHANNELS, `${channel}: ${head} was withdrawn: ${gone.reason}`)];
    // Also from withdrawn ones: who runs them must get away.
    return releases
      .filter(({ version }) => compareVersions(version, head) < 0)
      .flatMap(({ version: installed }) => {
        try {
          findPath({ installed, target: head, releases, yanked });
          return [];
        } catch (error) {
          if (!(error instanceof OperatorError)) throw error;
          const message = `${channel}: ${[error.message, ...error.details].join('; ')}`;
          return [finding('no-path', CHANNELS, message)];
        }
      });
  });
}

function schemaFindings(manifests: ReleaseManifest[], { migrations }: LintInput): ReleaseFinding[] {
  const found: ReleaseFinding[] = [];
  for (const [index, { version, schema, requiredStop }] of manifests.entries()) {
    const file = releaseName(version);
    if (requiredStop && isPrerelease(version))
      found.push(finding('stop-prerelease', file, `${version} is a pre-release and a required stop`));
    const before = manifests[index - 1];
    const at = before ? firstDifference(before.schema.migrations, schema.migrations) : null;
    if (before && at !== null)
      found.push(
        finding(
          'migrations-order',
          file,
          `${before.version} has ${name(before.schema.migrations[at])} where ${version} has ${name(schema.migrations[at])}`,
        ),
      );
  }
  const newest = manifests.at(-1);
  if (!newest || !migrations) return found;
  const listed = newest.schema.migrations;
  const at =
    firstDifference(listed, migrations) ?? (listed.length < migrations.length ? listed.length : null);
  if (at === null) return found;
  const message = `it has ${name(listed[at])} where the folder has ${name(migrations[at])}`;
  return [...found, finding('migrations-differ', releaseName(newest.version), message)];
}

/** The index at which `later` stops being a continuation of `earlier`; null: nowhere. */
function firstDifference(
  earlier: readonly ReleaseMigration[],
  later: readonly ReleaseMigration[],
): number | null {
  const at = earlier.findIndex(
    ({ id, kind }, index) => later[index]?.id !== id || later[index].kind !== kind,
  );
  return at < 0 ? null : at;
}

function name(migration: ReleaseMigration | undefined): string {
  return migration ? `${migration.id} (${migration.kind})` : 'nothing';
}

function rollbackFindings({ releases }: Channels, manifests: ReleaseManifest[]): ReleaseFinding[] {
  const byVersion = new Map(manifests.map((manifest) => [manifest.version, manifest]));
  return manifests.flatMap(({ version, schema }) =>
    rollbackTargets({ installed: version, releases, yanked: [] }).flatMap((target) => {
      const older = byVersion.get(target);
      if (!older || isSchemaAccepted(older, schema.head, schema.migrations)) return [];
      const known = new Set(older.schema.migrations.map(({ id }) => id));
      const contract = schema.migrations.filter(({ id, kind }) => kind === 'contract' && !known.has(id));
      const why =
        contract.length > 0 ? `, because of ${contract.map(({ id }) => id).join(', ')} (contract)` : '';
      return [
        finding(
          'rollback-schema',
          releaseName(version),
          `rollbackTo includes ${target}, which does not run on ${schema.head}${why}`,
        ),
      ];
    }),
  );
}

function finding(rule: ReleaseRule, file: string, message: string): ReleaseFinding {
  return { rule, file, message };
}
