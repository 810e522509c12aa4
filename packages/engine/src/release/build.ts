import type { MigrationKind } from '../migrations/header.ts';
import { type Channels, parseChannels, type YankedRelease } from './channels.ts';
import { CHANNELS, formatDocument, parseJson, readShape, releaseName, sha256 } from './document.ts';
import {
  imageProblems,
  imagesShape,
  migrationId,
  parseRelease,
  policyShape,
  type ReleaseImage,
  type ReleaseManifest,
} from './manifest.ts';
import { nullable, object, optional } from './shape.ts';
import { compareVersions } from './version.ts';

/** What people decide about a release: members of release.json, and `acceptsOldest`, the oldest schema head the application runs on. */
export type ReleasePolicy = Pick<
  ReleaseManifest,
  'upgradeFrom' | 'rollbackTo' | 'requiredStop' | 'requires' | 'healthGate' | 'notes'
> & { acceptsOldest: string | null };

const readPolicy = object({ ...policyShape, acceptsOldest: optional(nullable(migrationId), null) });

/** A JSON file of a release's policy. @throws OperatorError MANIFEST_INVALID */
export function parsePolicy(bytes: Uint8Array, name: string): ReleasePolicy {
  return readShape<ReleasePolicy>(parseJson(bytes, name), name, readPolicy, () => []);
}

/** A JSON file `{SERVICE: {name, digest, platforms}}`, as member `images` of release.json. @throws OperatorError MANIFEST_INVALID */
export function parseImages(bytes: Uint8Array, name: string): Record<string, ReleaseImage> {
  return readShape<Record<string, ReleaseImage>>(parseJson(bytes, name), name, nameRoot, imageProblems);
}

/** So that problems are told as they are told of release.json. */
const nameRoot: typeof imagesShape = (value, _at, problems) => imagesShape(value, 'images', problems);

export interface ReleaseInput {
  version: string;
  /** ISO 8601, UTC. */
  createdAt: string;
  images: Record<string, ReleaseImage>;
  policy: ReleasePolicy;
  /** All of the folder, in order. */
  migrations: readonly { id: string; kind: MigrationKind }[];
}

/** The bytes of a release.json. The same input gives the same bytes. @throws OperatorError MANIFEST_INVALID */
export function buildRelease({ version, createdAt, images, policy, migrations }: ReleaseInput): Buffer {
  const { acceptsOldest, upgradeFrom, rollbackTo, requiredStop, requires, healthGate, notes } = policy;
  const head = migrations.at(-1)?.id ?? '';
  const release: ReleaseManifest = {
    schemaVersion: 1,
    version,
    createdAt,
    images: sorted(images, ({ name, digest, platforms }) => ({ name, digest, platforms: sorted(platforms) })),
    schema: {
      head,
      accepts: { oldest: acceptsOldest ?? head, newest: head },
      migrations: migrations.map(({ id, kind }) => ({ id, kind })),
    },
    ...{ upgradeFrom, rollbackTo, requiredStop, requires, healthGate, notes },
  };
  const bytes = formatDocument(release);
  parseRelease(bytes, releaseName(version));
  return bytes;
}

export interface ChannelsInput {
  /** The issue before; null: this is the first. */
  previous: Channels | null;
  /** Every release.json that is published. */
  releases: readonly { manifest: ReleaseManifest; bytes: Uint8Array }[];
  /** Channels that change; others stay as they were. */
  channels: Record<string, string>;
  /** Releases that are withdrawn now; others stay withdrawn. */
  yanked: readonly YankedRelease[];
  issuedAt: string;
  expiresAt: string;
}

/** The bytes of the next channels.json. The same input gives the same bytes. @throws OperatorError MANIFEST_INVALID */
export function buildChannels(input: ChannelsInput): Buffer {
  const { previous, releases, yanked, issuedAt, expiresAt } = input;
  const isNew = new Set(yanked.map(({ version }) => version));
  const document: Channels = {
    schemaVersion: 1,
    counter: (previous?.counter ?? 0) + 1,
    issuedAt,
    expiresAt,
    channels: sorted({ ...previous?.channels, ...input.channels }),
    releases: releases
      .map(({ manifest: { version, requiredStop, upgradeFrom, rollbackTo }, bytes }) => ({
        ...{ version, requiredStop, upgradeFrom, rollbackTo },
        sha256: sha256(bytes),
      }))
      .toSorted((a, b) => compareVersions(a.version, b.version)),
    yanked: [...(previous?.yanked ?? []).filter(({ version }) => !isNew.has(version)), ...yanked]
      .map(({ version, reason, replacedBy }) => ({ version, reason, replacedBy }))
      .toSorted((a, b) => compareVersions(a.version, b.version)),
  };
  const bytes = formatDocument(document);
  parseChannels(bytes, CHANNELS);
  return bytes;
}

function sorted<T>(value: Record<string, T>, each: (item: T) => T = (item) => item): Record<string, T> {
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((name) => [name, each(value[name] as T)]),
  );
}
