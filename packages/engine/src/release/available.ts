import { OperatorError } from '../model/errors.ts';
import type { Observation } from '../model/observation.ts';
import type { Channels } from './channels.ts';
import type { ReleaseManifest } from './manifest.ts';
import { findPath, rollbackTargets } from './path.ts';
import { fetchChannels, fetchRelease, type KnownChannels, keptReleases, type ReleaseRoom } from './room.ts';
import { classify, isSchemaAccepted, type UpgradeClass } from './schema.ts';
import type { ReleaseSource } from './source.ts';
import { compareVersions, isVersion } from './version.ts';

/** A release as this installation sees it. */
export interface AvailableVersion {
  version: string;
  /** Names of the channels whose newest it is. */
  channels: string[];
  /**
   * `available`: an upgrade gets there. `rollback`: it can be gone back to. `unreachable`: a later one without a path. `older`: neither
   * without restoring a backup. `withdrawn`: not to be installed, wherever it stands.
   */
  state: 'installed' | 'available' | 'rollback' | 'unreachable' | 'older' | 'withdrawn';
  /** The versions to walk, the last is this one; null where no upgrade gets there. */
  path: string[] | null;
  requiredStop: boolean;
  /** Of the whole way, from the schema as it is; null: no way, a schema that can't be seen, or a release.json that was not fetched. */
  class: UpgradeClass | null;
  /** Why it is unreachable or withdrawn; otherwise null. */
  reason: string | null;
}

/** What is known of releases: the last list that was verified. */
export interface AvailableReport {
  installed: string;
  /** Null: no list was fetched yet. */
  list: {
    source: string;
    fetchedAt: string;
    counter: number;
    issuedAt: string;
    expiresAt: string;
    /** Why upgrades are blocked, or null. */
    blocked: { code: string; message: string } | null;
  } | null;
  channels: Record<string, string>;
  /** Newest first. */
  versions: AvailableVersion[];
}

interface Question {
  installed: string;
  /** The newest migration of the database, if it can be seen. */
  head: string | null;
  channels: Channels;
  /** The release.json that were fetched, by version. */
  manifests: ReadonlyMap<string, ReleaseManifest>;
}

/** Every release, and how one gets there from what is installed. Pure. */
export function availableVersions(question: Question): AvailableVersion[] {
  const { channels } = question;
  return channels.releases
    .toSorted((a, b) => compareVersions(b.version, a.version))
    .map(({ version, requiredStop }) => ({
      version,
      channels: Object.keys(channels.channels).filter((name) => channels.channels[name] === version),
      requiredStop,
      ...situation(version, question),
    }));
}

function situation(
  version: string,
  { installed, head, channels, manifests }: Question,
): Pick<AvailableVersion, 'state' | 'path' | 'class' | 'reason'> {
  const { releases, yanked } = channels;
  const nothing = { path: null, class: null, reason: null };
  const gone = yanked.find((one) => one.version === version);
  if (version === installed) return { ...nothing, state: 'installed', reason: gone?.reason ?? null };
  if (gone) return { ...nothing, state: 'withdrawn', reason: gone.reason };
  if (!isVersion(installed))
    return { ...nothing, state: 'unreachable', reason: `what is installed (${installed}) is no release` };
  const manifest = manifests.get(version);
  if (compareVersions(version, installed) < 0) {
    const newer = manifests.get(installed)?.schema.migrations;
    // What the schema says counts where it is known; without it the word of the list.
    const isRefused = manifest !== undefined && head !== null && !isSchemaAccepted(manifest, head, newer);
    const canGoBack = rollbackTargets({ installed, releases, yanked }).includes(version) && !isRefused;
    return { ...nothing, state: canGoBack ? 'rollback' : 'older' };
  }
  try {
    const path = findPath({ installed, target: version, releases, yanked });
    const isKnown = manifest !== undefined && head !== null;
    return { ...nothing, state: 'available', path, class: isKnown ? classify(manifest, head).class : null };
  } catch (error) {
    if (!(error instanceof OperatorError) || error.code !== 'NO_UPGRADE_PATH') throw error;
    return { ...nothing, state: 'unreachable', reason: [error.message, ...error.details].join('; ') };
  }
}

/** The report from what is on the disk, without the network. */
export async function reportAvailable(
  room: ReleaseRoom,
  known: KnownChannels | null,
  { installed, head }: { installed: string; head: string | null },
): Promise<AvailableReport> {
  if (!known) return { installed, list: null, channels: {}, versions: [] };
  const { channels, source, fetchedAt, problem } = known;
  const manifests = await keptReleases(room, channels);
  const { counter, issuedAt, expiresAt } = channels;
  const blocked = problem && { code: problem.code, message: problem.message };
  return {
    installed,
    list: { source, fetchedAt, counter, issuedAt, expiresAt, blocked },
    channels: channels.channels,
    versions: availableVersions({ installed, head, channels, manifests }),
  };
}

/**
 * Fetches the list, and the release.json of the newest version of each channel and of the installed one.
 * @returns the list, and why a release.json could not be had
 * @throws OperatorError as fetchChannels
 */
export async function refresh(
  room: ReleaseRoom,
  source: ReleaseSource,
  installed: string,
): Promise<{ known: KnownChannels; warnings: string[] }> {
  const known = await fetchChannels(room, source);
  const warnings: string[] = [];
  const { channels, releases, yanked } = known.channels;
  const wanted = new Set([...Object.values(channels), installed]);
  for (const { version } of releases) {
    if (!wanted.has(version) || yanked.some((gone) => gone.version === version)) continue;
    try {
      await fetchRelease(room, source, known.channels, version);
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      warnings.push(`${version}: ${error.message}`);
    }
  }
  return { known, warnings };
}

/** The version of the application that runs, if all its containers agree on a release; otherwise the engine's. */
export function installedVersion({ services }: Observation, engineVersion: string): string {
  const running = services
    .filter(({ layer, update }) => layer === 'application' && update === 'managed')
    .flatMap(({ containers }) => containers.map(({ version }) => version));
  const [version] = running;
  return version && isVersion(version) && running.every((one) => one === version) ? version : engineVersion;
}
