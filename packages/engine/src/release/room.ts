import { EXIT, OperatorError } from '../model/errors.ts';
import {
  type Channels,
  findRelease,
  freshnessProblem,
  type ListedRelease,
  parseChannels,
} from './channels.ts';
import { CHANNELS, releaseName, sha256 } from './document.ts';
import { formatTrustedKeys, keptKeys, readTrustedKeys, type TrustedKeys } from './keys.ts';
import { parseRelease, type ReleaseManifest } from './manifest.ts';
import { isSigned, readSigned, requireSum, verifySignatures } from './signature.ts';
import type { ReleaseSource } from './source.ts';
import { type LastChannels, type ReleaseStore, releaseStore, type SignedBytes } from './store.ts';

/** What is needed to believe anything about releases. */
export interface ReleaseRoom {
  keys: TrustedKeys;
  store: ReleaseStore;
  now(): Date;
}

/** A list of releases whose signature was checked by this process. */
export interface KnownChannels {
  channels: Channels;
  /** Address of the source it came from. */
  source: string;
  /** ISO 8601. */
  fetchedAt: string;
  /** Why upgrades are blocked (CHANNEL_EXPIRED, CLOCK_BEHIND), or null. */
  problem: OperatorError | null;
}

/** @throws OperatorError RELEASE_KEYS_INVALID */
export function openRoom(
  { stateDirectory }: { stateDirectory: string },
  now: () => Date,
  env: NodeJS.ProcessEnv = process.env,
): ReleaseRoom {
  return { keys: readTrustedKeys(env), store: releaseStore(stateDirectory), now };
}

/**
 * What another process fetched and checked, for one that is told no keys: the console.
 * @throws OperatorError RELEASE_KEYS_INVALID
 */
export async function openKept(stateDirectory: string, now: () => Date): Promise<ReleaseRoom> {
  const store = releaseStore(stateDirectory);
  const text = await store.readKeys();
  return { keys: text === null ? readTrustedKeys({}) : keptKeys(text, 'trusted-keys'), store, now };
}

/**
 * Fetches channels.json, checks it, and keeps it as the last one seen. One that has expired is kept, too: it is genuine, and tells more
 * than none; `problem` says that it must not be acted on.
 * @throws OperatorError SIGNATURE_INVALID, CHANNEL_REPLAYED, MANIFEST_INVALID, MANIFEST_TOO_NEW, STATE_DAMAGED, and those of the source
 */
export async function fetchChannels(room: ReleaseRoom, source: ReleaseSource): Promise<KnownChannels> {
  const signed = await readSigned(source, CHANNELS);
  const signedBy = verifySignatures(CHANNELS, signed.bytes, signed.signatures, room.keys);
  const channels = parseChannels(signed.bytes);
  const [sum, fetchedAt] = [sha256(signed.bytes), room.now().toISOString()];
  refuseReplay(channels, sum, await room.store.readLast(), room.keys);
  await room.store.writeKeys(formatTrustedKeys(room.keys));
  await room.store.writeLast({
    ...signed,
    ...{ counter: channels.counter, sha256: sum, signedBy, source: source.address, fetchedAt },
  });
  return { channels, source: source.address, fetchedAt, problem: freshnessProblem(channels, room.now()) };
}

/**
 * The list that was fetched last, from the disk, checked again: keys may have been revoked since. Null: none was fetched yet.
 * @throws OperatorError SIGNATURE_INVALID, STATE_DAMAGED
 */
export async function lastChannels(room: ReleaseRoom): Promise<KnownChannels | null> {
  const last = await room.store.readLast();
  if (!last) return null;
  verifySignatures(CHANNELS, last.bytes, last.signatures, room.keys);
  const channels = parseChannels(last.bytes);
  return {
    channels,
    source: last.source,
    fetchedAt: last.fetchedAt,
    problem: freshnessProblem(channels, room.now()),
  };
}

/** For whatever is about to change versions. @throws OperatorError CHANNEL_EXPIRED, CLOCK_BEHIND */
export function requireFresh({ problem }: KnownChannels): void {
  if (problem) throw problem;
}

/**
 * The release.json of a version that may be installed: the copy that is kept if it is the right one, otherwise from the source, and kept.
 * Its signature is checked, and its sum against the list.
 * @throws OperatorError VERSION_UNKNOWN, VERSION_YANKED, SIGNATURE_INVALID, MANIFEST_MISMATCH, MANIFEST_INVALID, MANIFEST_TOO_NEW, and
 * those of the source
 */
export async function fetchRelease(
  room: ReleaseRoom,
  source: ReleaseSource,
  { releases, yanked }: Channels,
  version: string,
): Promise<ReleaseManifest> {
  const listed = findRelease(releases, yanked, version);
  const name = releaseName(version);
  const kept = await goodCopy(room, listed);
  const signed = kept ?? (await readSigned(source, name));
  verifySignatures(name, signed.bytes, signed.signatures, room.keys);
  requireSum(name, signed.bytes, listed.sha256);
  const release = parseOwn(signed.bytes, version);
  if (!kept) await room.store.writeRelease(version, signed);
  return release;
}

/** The release.json that are kept of those that are listed, by version, without the network. @throws OperatorError MANIFEST_INVALID */
export async function keptReleases(
  room: ReleaseRoom,
  { releases }: Channels,
): Promise<Map<string, ReleaseManifest>> {
  const found = new Map<string, ReleaseManifest>();
  for (const listed of releases) {
    const kept = await goodCopy(room, listed);
    if (kept) found.set(listed.version, parseOwn(kept.bytes, listed.version));
  }
  return found;
}

/** Null for what was published anew, changed here, or signed with a key that was revoked since: it is to be fetched. */
async function goodCopy(
  { store, keys }: ReleaseRoom,
  { version, sha256: sum }: ListedRelease,
): Promise<SignedBytes | null> {
  const kept = await store.readRelease(version);
  if (!kept || sha256(kept.bytes) !== sum) return null;
  return isSigned(releaseName(version), kept.bytes, kept.signatures, keys) ? kept : null;
}

/**
 * The release.json of a version as it was fetched once; null: it was not. What runs here, or ran before, is described by it even when the
 * list does not have it any more.
 * @throws OperatorError SIGNATURE_INVALID, MANIFEST_INVALID, MANIFEST_TOO_NEW
 */
export async function keptRelease(room: ReleaseRoom, version: string): Promise<ReleaseManifest | null> {
  const kept = await room.store.readRelease(version);
  if (!kept) return null;
  verifySignatures(releaseName(version), kept.bytes, kept.signatures, room.keys);
  return parseOwn(kept.bytes, version);
}

/** A release.json that says it is another version would be taken for what it is not. */
function parseOwn(bytes: Uint8Array, version: string): ReleaseManifest {
  const release = parseRelease(bytes, releaseName(version));
  if (release.version === version) return release;
  throw new OperatorError('MANIFEST_MISMATCH', `${releaseName(version)} is of version ${release.version}`, {
    exitCode: EXIT.precondition,
    details: [`expected ${version}`, `actual   ${release.version}`],
    hint: 'nothing was changed; whoever publishes the releases must correct it',
  });
}

/**
 * A counter is believed as long as one of the keys that signed it is not revoked: whoever had stolen a key could otherwise have set it
 * so high that no genuine list would ever follow (TUF calls that a fast-forward attack).
 */
function refuseReplay(
  { counter }: Channels,
  sum: string,
  last: LastChannels | null,
  { revoked }: TrustedKeys,
): void {
  if (!last || last.signedBy.every((id) => revoked.includes(id))) return;
  if (counter > last.counter || (counter === last.counter && sum === last.sha256)) return;
  const isOlder = counter < last.counter;
  throw new OperatorError(
    'CHANNEL_REPLAYED',
    isOlder
      ? `this list of releases has number ${counter}, and number ${last.counter} was seen before: it is an old one`
      : `this list of releases has number ${counter}, as the last one, but is not the same`,
    {
      exitCode: EXIT.precondition,
      details: [`number ${last.counter} came from ${last.source}, last fetched ${last.fetchedAt}`],
      hint: isOlder
        ? 'upgrades from it are blocked, the platform keeps running; a mirror, cache or bundle may be out of date: use a newer one'
        : 'upgrades from it are blocked, the platform keeps running; whoever publishes must raise the number with every change',
    },
  );
}
