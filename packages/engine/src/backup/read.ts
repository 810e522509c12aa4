import type { ConnectionSettings } from '@kg-operator/config';
import { Secret } from '@kg-operator/config';
import type { EmbeddedServer } from '../database/embedded-server.ts';
import { parseEnvFile } from '../model/env-file.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { Identities } from './age.ts';
import { type Member, type MemberSum, readBundle } from './bundle.ts';
import type { DumpMember } from './format.ts';
import { handoff } from './handoff.ts';
import { databaseLoader } from './loader.ts';
import type { BundleManifest } from './make.ts';
import { collect, type ObjectBucket } from './object-store.ts';
import { isObjectMember, objectLoader } from './objects.ts';

/** A bundle that can be read from its beginning as often as needed. */
export interface BundleFile {
  open(): Promise<AsyncIterable<Uint8Array>>;
  identities: Identities;
}

export interface CheckedBundle {
  manifest: BundleManifest & { members: Record<string, MemberSum> };
  /** Layer 1 of the installation it was made of. */
  secrets: Map<string, string>;
}

/**
 * Reads a bundle once from beginning to end, and changes nothing: it is authentic, whole, and every member is what the manifest says.
 * @throws OperatorError BACKUP_KEY_WRONG, BACKUP_DAMAGED, BACKUP_TOO_NEW
 */
export async function checkBundle(file: BundleFile): Promise<CheckedBundle> {
  let secrets = new Map<string, string>();
  const manifest = await readBundle<BundleManifest>(await file.open(), file.identities, async (member) => {
    if (member.name === 'header.json') assertReadable((await collect(member.body)).toString('utf8'));
    if (member.name === 'secrets.env')
      secrets = parseEnvFile((await collect(member.body)).toString('utf8')).values;
  });
  return { manifest, secrets };
}

function assertReadable(header: string): void {
  const { formatVersion, engineVersion } = JSON.parse(header) as {
    formatVersion?: number;
    engineVersion?: string;
  };
  if (formatVersion === 1) return;
  throw new OperatorError(
    'BACKUP_TOO_NEW',
    `this backup has format ${formatVersion}; this engine reads format 1`,
    {
      exitCode: EXIT.precondition,
      hint: `use engine ${engineVersion} or newer`,
    },
  );
}

/** Where a bundle is loaded. */
export interface LoadTarget {
  /** An empty database. */
  database: { connection: ConnectionSettings } | EmbeddedServer;
  /** Null: objects are not loaded. */
  bucket: ObjectBucket | null;
}

export interface LoadingBundle {
  signal: AbortSignal;
  engineVersion: string;
  report: (line: string) => void;
  /** Called with the roles that had to be made, if any. */
  onRoles?: (roles: string[]) => void;
}

/**
 * Loads a checked bundle into an empty database and an empty bucket, and compares both with the manifest. Returns what is wrong: nothing,
 * if it can be restored.
 * @throws OperatorError when it can't be loaded at all
 */
export async function loadBundle(
  file: BundleFile,
  { manifest }: CheckedBundle,
  into: LoadTarget,
  { signal, engineVersion, report, onRoles = () => undefined }: LoadingBundle,
): Promise<string[]> {
  const members = handoff<DumpMember>();
  const loader = databaseLoader(manifest, into, engineVersion);
  const loading = loader.load(members, {
    signal,
    onProgress: ({ done, total }) =>
      report(done < total ? `database ${Math.floor((100 * done) / total)} %` : 'indexes and statistics'),
  });
  // Whoever feeds it must hear that it has stopped, and not wait for ever.
  loading.then(
    () => members.stop(new Error('the database was loaded before its last member')),
    (reason) => members.stop(reason),
  );
  const objects = into.bucket && objectLoader(into.bucket);
  const take = async (member: Member) => {
    if (member.name.startsWith('database/')) {
      await members.give({ name: member.name, bytes: await collect(member.body) });
    } else {
      members.end();
      await loading;
      if (isObjectMember(member.name)) await objects?.take(member);
    }
  };
  let seenDatabase = false;
  try {
    await readBundle(await file.open(), file.identities, async (member) => {
      seenDatabase ||= member.name.startsWith('database/');
      if (seenDatabase) await take(member);
    });
    members.end();
    const { createdRoles } = await loading;
    if (createdRoles.length > 0) onRoles(createdRoles);
  } catch (error) {
    members.end(error);
    await loading.catch(() => undefined); // it fails because of the error that is thrown here, or is that error
    throw error;
  }
  report('comparing every row');
  const found = await loader.verify(signal);
  // What the saved database has as well is told, but does not make its backup worse.
  for (const { message } of found.filter(({ isInherited }) => isInherited))
    report(`as in the saved database: ${message}`);
  const findings = found.filter(({ isInherited }) => !isInherited).map(({ message }) => message);
  const loaded = await objects?.finish();
  if (loaded && (loaded.count !== manifest.objects.count || loaded.bytes !== manifest.objects.bytes))
    findings.push(
      `objects: ${loaded.count} with ${loaded.bytes} bytes were restored, ${manifest.objects.count} with ${manifest.objects.bytes} were backed up`,
    );
  return findings;
}

/** The ENCRYPTION_KEY of the installation that a bundle was made of. */
export function encryptionKeyOf({ secrets }: CheckedBundle): Secret | null {
  const key = secrets.get('ENCRYPTION_KEY');
  return key ? new Secret(key) : null;
}
