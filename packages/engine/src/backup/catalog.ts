import { EXIT, OperatorError } from '../model/errors.ts';
import { type Destination, readText } from './destination.ts';

export const BUNDLE_SUFFIX = '.tar.age';

/** What is known about a backup without opening it: the file `NAME.json` beside `NAME.tar.age`. It holds no secret. */
export interface BackupRecord {
  formatVersion: 1;
  /** The bundle's name without its suffix, such as `kg-20261123T031500Z-a1b2c3`. */
  id: string;
  project: string;
  createdAt: string;
  /** Of the bundle: bytes, and SHA-256 in hexadecimal. */
  size: number;
  sha256: string;
  seconds: number;
  engineVersion: string;
  /** As `SHOW server_version_num`. */
  serverVersion: number;
  schemaHead: string | null;
  /** Id of the ENCRYPTION_KEY of that time. */
  keyId: string | null;
  counts: {
    tables: number;
    rows: number;
    graphs: number;
    vertices: number;
    edges: number;
    objects: number;
    objectBytes: number;
  };
  /** What opens it. */
  opens: ('recovery kit' | 'this installation' | 'passphrase')[];
  state: 'unverified' | 'verified' | 'failed';
  verifiedAt: string | null;
  /** Why it failed. */
  failure: string | null;
}

export interface ListedBackup extends BackupRecord {
  /** Names of the destinations that have it. */
  destinations: string[];
}

export function backupId(project: string, at: Date, random: string): string {
  return `${project}-${at.toISOString().replace(/[-:]|\.\d+/g, '')}-${random}`;
}

export function bundleName(id: string): string {
  return `${id}${BUNDLE_SUFFIX}`;
}

export function recordName(id: string): string {
  return `${id}.json`;
}

/**
 * Every backup of the destinations, newest first. A bundle without its record, or of another size than it says, is not a backup.
 * A destination that does not answer is told to `unusable`, and the others are listed; without it, it is thrown.
 */
export async function listBackups(
  destinations: Destination[],
  unusable?: (reason: OperatorError) => void,
): Promise<ListedBackup[]> {
  const found = new Map<string, ListedBackup>();
  const lists = await Promise.all(destinations.map((one) => recordsOf(one).catch(orTold(unusable))));
  for (const [index, records] of lists.entries()) {
    for (const record of records) {
      const known = found.get(record.id);
      const { name } = destinations[index] as Destination;
      found.set(record.id, {
        ...better(record, known),
        destinations: [...(known?.destinations ?? []), name],
      });
    }
  }
  return [...found.values()].sort((a, b) => b.createdAt.localeCompare(a.createdAt));
}

/** Passes what makes a destination unusable on, and goes on without it. */
export function orTold(unusable?: (reason: OperatorError) => void): (error: unknown) => [] {
  return (error) => {
    if (!unusable || !(error instanceof OperatorError)) throw error;
    unusable(error);
    return [];
  };
}

async function recordsOf(destination: Destination): Promise<BackupRecord[]> {
  const files = await destination.list();
  const sizes = new Map(files.map(({ name, size }) => [name, size]));
  const named = files.filter(
    ({ name }) => name.endsWith('.json') && sizes.has(bundleName(name.slice(0, -'.json'.length))),
  );
  const records = await Promise.all(
    named.map(async ({ name }) => parseRecord(await readText(destination, name))),
  );
  return records.filter(
    (record) => record !== null && sizes.get(bundleName(record.id)) === record.size,
  ) as BackupRecord[];
}

/** Of two records of one backup the one that was verified last. */
function better(record: BackupRecord, known: BackupRecord | undefined): BackupRecord {
  return known && (known.verifiedAt ?? '') > (record.verifiedAt ?? '') ? known : record;
}

function parseRecord(text: string): BackupRecord | null {
  try {
    const value = JSON.parse(text) as Partial<BackupRecord>;
    return value.formatVersion === 1 && typeof value.id === 'string' ? (value as BackupRecord) : null;
  } catch {
    return null; // a file of somebody else's
  }
}

/** The backup that a person means by its id, the beginning of it, or `latest`. @throws OperatorError BACKUP_UNKNOWN */
export function findBackup(backups: ListedBackup[], which: string): ListedBackup {
  const matching =
    which === 'latest'
      ? backups.filter(({ state }) => state !== 'failed').slice(0, 1)
      : backups.filter(({ id }) => id.startsWith(which));
  const [found] = matching;
  if (found && matching.length === 1) return found;
  const what =
    which === 'latest'
      ? 'there is no backup yet'
      : `${matching.length === 0 ? 'no backup is' : 'several backups are'} called ${which}`;
  throw new OperatorError('BACKUP_UNKNOWN', what, {
    exitCode: EXIT.precondition,
    details: matching.map(({ id }) => id),
    hint: 'see ./operator.sh backup list',
  });
}
