import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { buildChannels, buildRelease, type ReleaseInput } from '../src/release/build.ts';
import type { ListedRelease, YankedRelease } from '../src/release/channels.ts';
import { CHANNELS, releaseName, signatureName } from '../src/release/document.ts';
import type { TrustedKeys } from '../src/release/keys.ts';
import { parseRelease } from '../src/release/manifest.ts';
import { formatPublicKey, parseSecretKey, type SecretKey, signBytes } from '../src/release/minisign.ts';

/** A new key, as the text of a file that `minisign -G -W` would have written. It lives as long as the test. */
export function newSecretKeyFile(): string {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  // Either structure ends with the 32 bytes of the key.
  const tail = (key: KeyObject, type: 'pkcs8' | 'spki') =>
    Buffer.from(key.export({ format: 'der', type } as never)).subarray(-32);
  const bytes = Buffer.concat([
    Buffer.from('Ed\0\0B2'),
    Buffer.alloc(48),
    randomBytes(8),
    tail(privateKey, 'pkcs8'),
    tail(publicKey, 'spki'),
    Buffer.alloc(32),
  ]);
  return `untrusted comment: a key of a test\n${bytes.toString('base64')}\n`;
}

export { formatPublicKey };

export function newKey(): SecretKey {
  return parseSecretKey(newSecretKeyFile());
}

export function trust(...trusted: SecretKey[]): TrustedKeys {
  return { trusted, revoked: [] };
}

/** A release of a list, that takes everything from 1.0.0 on. */
export function listed(version: string, more: Partial<ListedRelease> = {}): ListedRelease {
  return {
    version,
    requiredStop: false,
    upgradeFrom: '1.0.0',
    rollbackTo: null,
    sha256: '0'.repeat(64),
    ...more,
  };
}

export const POLICY: ReleaseInput['policy'] = {
  upgradeFrom: '1.0.0',
  rollbackTo: null,
  requiredStop: false,
  requires: {
    dockerApi: { min: '1.44', max: null },
    compose: '2.24.4',
    shim: '0.1.0',
    diskBytes: 2_000_000_000,
    memoryBytes: 1_000_000_000,
  },
  healthGate: {
    checks: [{ target: 'api', path: '/ready', status: 200 }],
    timeoutSeconds: 120,
    stabilitySeconds: 30,
  },
  notes: 'Nothing new.',
  acceptsOldest: null,
};

export const MIGRATIONS: ReleaseInput['migrations'] = [
  { id: '0001_first', kind: 'expand' },
  { id: '0002_second', kind: 'expand' },
  { id: '0003_third', kind: 'contract' },
  { id: '0004_fourth', kind: 'expand' },
];

/** What a pipeline knows of a release with the first `migrations` of MIGRATIONS. */
export function releaseInput(
  version: string,
  { migrations = 1, ...policy }: Partial<ReleaseInput['policy']> & { migrations?: number } = {},
): ReleaseInput {
  return {
    version,
    createdAt: '2026-11-01T00:00:00Z',
    images: {
      api: { name: 'registry.example/kg-operator-api', digest: `sha256:${'a'.repeat(64)}`, platforms: {} },
      operator: {
        name: 'registry.example/kg-operator-operator',
        digest: null,
        platforms: {
          'linux/amd64': { digest: `sha256:${'b'.repeat(64)}`, config: `sha256:${'c'.repeat(64)}` },
        },
      },
    },
    policy: { ...POLICY, ...policy },
    migrations: MIGRATIONS.slice(0, migrations),
  };
}

interface FixtureOptions {
  keys: SecretKey[];
  counter?: number;
  channels?: Record<string, string>;
  yanked?: YankedRelease[];
  issuedAt?: string;
  expiresAt?: string;
}

/** The files of a source, by name: releases as they are published, built and signed here. */
export function publish(
  inputs: ReleaseInput[],
  {
    keys,
    counter = 1,
    channels = { stable: inputs.at(-1)?.version as string },
    yanked = [],
    issuedAt = '2026-11-01T00:00:00Z',
    expiresAt = '2027-02-01T00:00:00Z',
  }: FixtureOptions,
): Map<string, Buffer> {
  const releases = inputs.map(buildRelease).map((bytes) => ({ bytes, manifest: parseRelease(bytes) }));
  const previous = {
    schemaVersion: 1,
    counter: counter - 1,
    ...{ issuedAt, expiresAt, channels: {}, releases: [], yanked: [] },
  };
  const list = buildChannels({ previous, releases, channels, yanked, issuedAt, expiresAt });
  const files = new Map<string, Buffer>([[CHANNELS, list]]);
  for (const { bytes, manifest } of releases) files.set(releaseName(manifest.version), bytes);
  for (const [name, bytes] of [...files]) files.set(signatureName(name), signed(bytes, keys));
  return files;
}

/** A file of signatures by these keys. */
export function signed(bytes: Uint8Array, keys: SecretKey[]): Buffer {
  return Buffer.from(keys.map((key) => signBytes(key, bytes, 'made by a test')).join(''));
}

export async function writeFiles(folder: string, files: Map<string, Buffer>): Promise<void> {
  for (const [name, bytes] of files) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), bytes);
  }
}
