import type { MigrationKind } from '../migrations/header.ts';
import type { HealthCheck } from '../model/plan.ts';
import { parseDocument } from './document.ts';
import {
  boolean,
  instant,
  integer,
  list,
  nullable,
  object,
  oneOf,
  optional,
  type Problems,
  record,
  text,
} from './shape.ts';
import { compareVersions, VERSION } from './version.ts';

/** An image of a release, by digest only: `sha256:` and 64 hexadecimal digits. */
export interface ReleaseImage {
  /** Registry and repository without a tag, such as `ghcr.io/kg-operator/kg-operator-api`. */
  name: string;
  /** Of the index (manifest list), which every platform pulls; null where there are only platforms. */
  digest: string | null;
  /** By platform, such as `linux/arm64`. */
  platforms: Record<string, PlatformImage>;
}

export interface PlatformImage {
  /** Of the manifest. */
  digest: string;
  /** Of the image's configuration, which `docker save` and `docker load` keep where they don't keep the manifest's; null: not told. */
  config: string | null;
}

export interface ReleaseMigration {
  id: string;
  kind: MigrationKind;
}

/** A release.json: everything an installation knows of a version before it changes anything. schema/json/release.schema.json. */
export interface ReleaseManifest {
  schemaVersion: number;
  version: string;
  createdAt: string;
  /** By service of the compose files. */
  images: Record<string, ReleaseImage>;
  schema: {
    /** The newest migration. */
    head: string;
    /** The schema heads this application runs on, both included. */
    accepts: { oldest: string; newest: string };
    /** All of them, from the first, in order. */
    migrations: ReleaseMigration[];
  };
  /** The oldest version that may go to this one directly. */
  upgradeFrom: string;
  /** The oldest version that may be gone back to, data and all; null: none. */
  rollbackTo: string | null;
  /** An upgrade that passes this version must run it first. */
  requiredStop: boolean;
  requires: {
    /** Docker's API version, such as `1.44`; `max` null: no limit. */
    dockerApi: { min: string; max: string | null };
    /** The oldest Docker Compose. */
    compose: string;
    /** The oldest operator.sh. */
    shim: string;
    /** Free space for its images, and memory of the host. */
    diskBytes: number;
    memoryBytes: number;
  };
  healthGate: {
    checks: HealthCheck[];
    /** How long it may take until all checks are right. */
    timeoutSeconds: number;
    /** How long they must stay right. */
    stabilitySeconds: number;
  };
  /** Markdown, for people. */
  notes: string;
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;
const MIGRATION_ID = /^\d{4,14}_[A-Za-z0-9_-]+$/;
/** As the reference of an image has it, without tag and digest: https://github.com/distribution/reference */
const IMAGE_NAME =
  /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\.[a-z0-9-]+)*(?::\d+)?(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$/;

export const version = text(VERSION, 'a version such as 1.4.0');
const digest = text(DIGEST, 'sha256: and 64 hexadecimal digits');
export const migrationId = text(MIGRATION_ID, 'the id of a migration such as 0001_platform');
const plainVersion = text(/^\d{1,6}\.\d{1,6}\.\d{1,6}$/, 'a version such as 2.24.4');
const apiVersion = text(/^\d{1,3}\.\d{1,4}$/, 'an API version such as 1.44');

export const imagesShape = record(
  /^[a-z0-9][a-z0-9_-]*$/,
  'name of a service',
  object({
    name: text(IMAGE_NAME, 'the name of an image without tag and digest'),
    digest: optional(nullable(digest), null),
    platforms: optional(
      record(
        /^[a-z0-9]+\/[a-z0-9_]+(\/[a-z0-9]+)?$/,
        'platform such as linux/amd64',
        object({ digest, config: optional(nullable(digest), null) }),
      ),
      {},
    ),
  }),
);

/** The part of a release.json that people decide; the rest is found. */
export const policyShape = {
  upgradeFrom: version,
  rollbackTo: nullable(version),
  requiredStop: boolean,
  requires: object({
    dockerApi: object({ min: apiVersion, max: optional(nullable(apiVersion), null) }),
    compose: plainVersion,
    shim: version,
    diskBytes: integer(0),
    memoryBytes: integer(0),
  }),
  healthGate: object({
    checks: list(
      object({
        target: oneOf('api', 'web'),
        path: text(/^\/[!-~]*$/, 'a path such as /ready'),
        status: integer(100, 599),
      }),
      1,
    ),
    timeoutSeconds: integer(1, 86_400),
    stabilitySeconds: integer(0, 86_400),
  }),
  notes: text(/^/, 'a text'),
};

const shape = object({
  schemaVersion: integer(1, 1),
  version,
  createdAt: instant,
  images: imagesShape,
  schema: object({
    head: migrationId,
    accepts: object({ oldest: migrationId, newest: migrationId }),
    migrations: list(object({ id: migrationId, kind: oneOf('expand', 'contract') }), 1),
  }),
  ...policyShape,
});

/** Reads a release.json. @throws OperatorError MANIFEST_INVALID, MANIFEST_TOO_NEW */
export function parseRelease(bytes: Uint8Array, name = 'release.json'): ReleaseManifest {
  return parseDocument<ReleaseManifest>(bytes, name, shape, problemsOf);
}

function problemsOf({ version, images, schema, upgradeFrom, rollbackTo }: ReleaseManifest): Problems {
  const problems = imageProblems(images);
  const ids = schema.migrations.map(({ id }) => id);
  for (const [index, id] of ids.entries())
    if (index > 0 && numberOf(id) <= numberOf(ids[index - 1] as string))
      problems.push(`schema.migrations[${index}].id: ${id} must come before ${ids[index - 1]}`);
  if (schema.head !== ids.at(-1)) problems.push(`schema.head must be the last migration, ${ids.at(-1)}`);
  const { oldest, newest } = schema.accepts;
  if (!ids.includes(oldest)) problems.push(`schema.accepts.oldest: ${oldest} is not among schema.migrations`);
  if (newest !== schema.head) problems.push(`schema.accepts.newest must be schema.head, ${schema.head}`);
  if (compareVersions(upgradeFrom, version) > 0)
    problems.push(`upgradeFrom: ${upgradeFrom} is newer than ${version} itself`);
  if (rollbackTo !== null && compareVersions(rollbackTo, version) >= 0)
    problems.push(`rollbackTo: ${rollbackTo} is not older than ${version} itself`);
  return problems;
}

export function imageProblems(images: Record<string, ReleaseImage>): Problems {
  if (Object.keys(images).length === 0) return ['images: there is none'];
  return Object.entries(images)
    .filter(([, { digest, platforms }]) => digest === null && Object.keys(platforms).length === 0)
    .map(([service]) => `images.${service} has no digest, neither of an index nor of a platform`);
}

/** The number a migration's id begins with; ids are ordered by it. */
export function numberOf(id: string): number {
  return Number.parseInt(id, 10);
}
