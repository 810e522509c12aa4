import { nearest } from '@kg-operator/config';
import { EXIT, OperatorError } from '../model/errors.ts';
import { CHANNELS, parseDocument } from './document.ts';
import { version } from './manifest.ts';
import {
  boolean,
  instant,
  integer,
  list,
  nullable,
  object,
  optional,
  type Problems,
  record,
  text,
} from './shape.ts';
import { compareVersions } from './version.ts';

/** What channels.json says of a release: enough to find a path, and the sum that binds its release.json. */
export interface ListedRelease {
  version: string;
  requiredStop: boolean;
  upgradeFrom: string;
  rollbackTo: string | null;
  /** Of its release.json, SHA-256 in hexadecimal. */
  sha256: string;
}

/** A release that must not be installed any more. */
export interface YankedRelease {
  version: string;
  reason: string;
  /** Of a required stop: the release that is walked in its place. Without one nothing can pass it. */
  replacedBy: string | null;
}

/** A channels.json. schema/json/channels.schema.json. */
export interface Channels {
  schemaVersion: number;
  /** Raised by every new issue; a lower one than the last seen is a replay. */
  counter: number;
  issuedAt: string;
  expiresAt: string;
  /** The newest version of each channel. */
  channels: Record<string, string>;
  releases: ListedRelease[];
  yanked: YankedRelease[];
}

const shape = object({
  schemaVersion: integer(1, 1),
  counter: integer(1),
  issuedAt: instant,
  expiresAt: instant,
  channels: record(/^[a-z][a-z0-9-]{0,39}$/, 'name of a channel', version),
  releases: list(
    object({
      version,
      requiredStop: boolean,
      upgradeFrom: version,
      rollbackTo: nullable(version),
      sha256: text(/^[0-9a-f]{64}$/, '64 hexadecimal digits'),
    }),
  ),
  yanked: list(object({ version, reason: text(), replacedBy: optional(nullable(version), null) })),
});

/** Reads a channels.json. @throws OperatorError MANIFEST_INVALID, MANIFEST_TOO_NEW */
export function parseChannels(bytes: Uint8Array, name = CHANNELS): Channels {
  return parseDocument<Channels>(bytes, name, shape, problemsOf);
}

function problemsOf({ issuedAt, expiresAt, channels, releases, yanked }: Channels): Problems {
  const problems: Problems = [];
  if (Date.parse(expiresAt) <= Date.parse(issuedAt)) problems.push('expiresAt is not later than issuedAt');
  const versions = new Set(releases.map((release) => release.version));
  for (const [name, head] of Object.entries(channels))
    if (!versions.has(head)) problems.push(`channels.${name}: ${head} is not among releases`);
  for (const [what, list] of Object.entries({ releases, yanked })) {
    const seen = new Set<string>();
    for (const [index, { version }] of list.entries()) {
      if (seen.has(version)) problems.push(`${what}[${index}].version: ${version} is there twice`);
      seen.add(version);
    }
  }
  for (const [index, { version, replacedBy }] of yanked.entries())
    if (replacedBy !== null && compareVersions(replacedBy, version) <= 0)
      problems.push(`yanked[${index}].replacedBy: ${replacedBy} is not newer than ${version}`);
  return problems;
}

/** The host's clock may be this far behind a publisher's: a day (faults.md 31). */
const CLOCK_TOLERANCE_MS = 86_400_000;

/**
 * Why a list is not to be acted on at this time, or null. The platform keeps running either way; only upgrades are blocked.
 * @returns OperatorError CHANNEL_EXPIRED, or CLOCK_BEHIND where the list is from the future
 */
export function freshnessProblem({ issuedAt, expiresAt }: Channels, now: Date): OperatorError | null {
  const clock = `the clock of this host says ${now.toISOString().slice(0, 16)}Z`;
  const hint =
    'the platform keeps running; if the clock is right, fetch a newer list (./operator.sh versions --refresh) or ask who publishes the releases; if it is wrong, set it';
  if (now.getTime() >= Date.parse(expiresAt))
    return new OperatorError(
      'CHANNEL_EXPIRED',
      `the list of releases was good until ${expiresAt}, and ${clock}: upgrades are blocked`,
      { exitCode: EXIT.precondition, hint },
    );
  if (now.getTime() + CLOCK_TOLERANCE_MS < Date.parse(issuedAt))
    return new OperatorError(
      'CLOCK_BEHIND',
      `the list of releases was issued ${issuedAt}, and ${clock}: it can't be told whether the list is still good`,
      { exitCode: EXIT.precondition, hint: 'the platform keeps running; set the clock, then try again' },
    );
  return null;
}

/**
 * The version that is wanted: `to`, or else the newest of `channel`.
 * @throws OperatorError VERSION_UNKNOWN, VERSION_YANKED, CHANNEL_UNKNOWN
 */
export function chooseTarget(channels: Channels, wanted: { to: string } | { channel: string }): string {
  if ('to' in wanted) {
    findRelease(channels.releases, channels.yanked, wanted.to);
    return wanted.to;
  }
  const head = Object.hasOwn(channels.channels, wanted.channel)
    ? channels.channels[wanted.channel]
    : undefined;
  if (head === undefined) {
    const names = Object.keys(channels.channels);
    const near = nearest(wanted.channel, names);
    throw new OperatorError('CHANNEL_UNKNOWN', `there is no channel ${wanted.channel}`, {
      exitCode: EXIT.usage,
      hint: near ? `did you mean ${near}?` : `there are: ${names.join(', ') || 'none'}`,
    });
  }
  findRelease(channels.releases, channels.yanked, head);
  return head;
}

/** A release that may be installed. @throws OperatorError VERSION_UNKNOWN with names near to it, VERSION_YANKED with the reason */
export function findRelease<R extends { version: string }>(
  releases: readonly R[],
  yanked: readonly YankedRelease[],
  wanted: string,
): R {
  const gone = yanked.find(({ version }) => version === wanted);
  if (gone)
    throw new OperatorError('VERSION_YANKED', `${wanted} was withdrawn: ${gone.reason}`, {
      exitCode: EXIT.precondition,
      hint: gone.replacedBy
        ? `take ${gone.replacedBy}, which replaces it`
        : 'take another one: ./operator.sh versions --available',
    });
  const found = releases.find(({ version }) => version === wanted);
  if (found) return found;
  const good = releases.map(({ version }) => version).filter((one) => !yanked.some((y) => y.version === one));
  throw new OperatorError('VERSION_UNKNOWN', `there is no release ${wanted}`, {
    exitCode: EXIT.precondition,
    hint: `${didYouMean(wanted, good)}; ./operator.sh versions --available lists them, --refresh looks for newer ones`,
  });
}

/** Up to three, the nearest in spelling first, then those that begin alike. */
function didYouMean(wanted: string, versions: string[]): string {
  const near = nearest(wanted.replace(/^v/, ''), versions);
  const [major] = wanted.replace(/^v/, '').split('.');
  const alike = versions.filter((one) => one !== near && one.startsWith(`${major}.`)).sort(compareVersions);
  const names = [...(near ? [near] : []), ...alike.slice(-2).reverse()];
  if (names.length > 0) return `did you mean ${names.join(' or ')}?`;
  const newest = versions.toSorted(compareVersions).at(-1);
  return newest ? `the newest is ${newest}` : 'the list of releases is empty';
}
