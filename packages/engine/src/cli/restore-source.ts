import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { Secret } from '@kg-operator/config';
import { recipientOf } from '../backup/age.ts';
import { bundleName, findBackup, listBackups } from '../backup/catalog.ts';
import { type DumpFile, type DumpToRestore, recogniseFile } from '../backup/dump-file.ts';
import { identitiesOf, placesOf } from '../backup/installation.ts';
import type { BundleFile } from '../backup/read.ts';
import { bundleOfFile } from '../backup/steps.ts';
import { assertVisible } from '../backup/visible-file.ts';
import { parseEnvFile } from '../model/env-file.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { RestorePart } from '../plan/restore.ts';
import type { RunContext } from '../run/context.ts';
import { keysIn } from './recovery-kit.ts';
import { givenSecret } from './secret-input.ts';

export interface KeyFlags {
  'kit-file'?: string | undefined;
  'passphrase-file'?: string | undefined;
  'encryption-key-file'?: string | undefined;
}

/** Keys beside this installation's own, by flags or variables. @throws OperatorError SECRET_UNREADABLE, KIT_INVALID */
export async function takeKeys({ backup }: RunContext, flags: KeyFlags): Promise<void> {
  const kit = await givenSecret({
    what: 'recovery key',
    variable: 'KG_RECOVERY_KEY',
    file: flags['kit-file'],
    fileFlag: '--kit-file',
  });
  if (kit) {
    const keys = keysIn(kit.secret);
    backup.recovery = keys.length > 0 ? keys : [kit.secret];
    // A key that is none would make age call the backup damaged.
    for (const key of backup.recovery) await recipientOf(key);
  }
  const passphrase = await givenSecret({
    what: 'passphrase',
    variable: 'KG_BACKUP_PASSPHRASE',
    file: flags['passphrase-file'],
    fileFlag: '--passphrase-file',
  });
  backup.passphrase = passphrase?.secret ?? null;
}

/** What a person means: a file of pg_dump, or else a bundle. @throws OperatorError FILE_MISSING, FILE_UNKNOWN, BACKUP_UNKNOWN */
export async function findSource(
  context: RunContext,
  which: string,
  warn: (text: string) => void,
): Promise<{ dump: DumpFile } | { bundle: BundleFile }> {
  if (which.includes('/') || existsSync(which)) {
    const path = resolve(which);
    await assertVisible(path, context.settings);
    const dump = await recogniseFile(path);
    return dump ? { dump } : { bundle: bundleOfFile(path, await identitiesOf(context)) };
  }
  const identities = await identitiesOf(context);
  const tell = (reason: OperatorError) => warn(reason.message);
  const places = await placesOf(context, tell);
  const found = findBackup(await listBackups(places, tell), which);
  if (found.state !== 'verified')
    warn(`${found.id} is ${found.state}${found.failure ? `: ${found.failure}` : ''}`);
  const holder = places.find(({ name }) => found.destinations.includes(name));
  if (!holder) throw new Error(`${found.id} is nowhere`);
  return { bundle: { open: () => holder.read(bundleName(found.id)), identities } };
}

/** The key of the installation that was dumped: 64 hexadecimal digits, or that installation's `.env`. */
export async function dumpKey(flags: KeyFlags): Promise<Secret | null> {
  const given = await givenSecret({
    what: 'ENCRYPTION_KEY of the dump',
    variable: 'KG_DUMP_ENCRYPTION_KEY',
    file: flags['encryption-key-file'],
    fileFlag: '--encryption-key-file',
  });
  if (!given) return null;
  const text = given.secret.reveal().trim();
  const key = text.includes('=') ? parseEnvFile(`${text}\n`).values.get('ENCRYPTION_KEY') : text;
  if (key && /^[0-9a-f]{64}$/.test(key)) return new Secret(key);
  throw new OperatorError('SECRET_UNREADABLE', '--encryption-key-file holds no ENCRYPTION_KEY', {
    exitCode: EXIT.usage,
    hint: 'give the .env of the installation that was dumped, or a file with the 64 digits alone',
  });
}

/** @throws OperatorError DUMP_WITHOUT_DOCUMENTS */
export function assertHolds({ path }: DumpFile, only: RestorePart | undefined): void {
  if (only !== 'objects') return;
  throw new OperatorError(
    'DUMP_WITHOUT_DOCUMENTS',
    `${basename(path)} is of pg_dump, which holds no documents`,
    {
      exitCode: EXIT.precondition,
      hint: 'take them from a backup: ./operator.sh restore ID --only objects (./operator.sh backup list)',
    },
  );
}

/** What a file of pg_dump lacks, said before anything is confirmed. */
export function dumpWarnings({ missingDocuments }: Pick<DumpToRestore, 'missingDocuments'>): string[] {
  return [
    missingDocuments > 0
      ? `a file of pg_dump holds no documents: the bucket stays as it is, and ${missingDocuments} of the documents that the file refers to are not in it`
      : 'a file of pg_dump holds no documents: the bucket stays as it is; it has all that the file refers to',
    'it holds no secrets: .env stays as it is',
    'it has no counts and no checksums to compare with: that it loads, ends as pg_dump ends, and that every graph answers Cypher is all that can be shown',
    'it was not encrypted: whoever had the file has read the data, and functions in it run in the database as they are',
  ];
}
