import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import {
  isFileStore,
  keyIdOf,
  type ObjectStoreSettings,
  openCredential,
  resolveEncryptionKey,
  Secret,
} from '@kg-operator/config';
import { sql } from 'kysely';
import { parseEnvFile } from '../model/env-file.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { infrastructureSecret, type Settings } from '../model/settings.ts';
import type { RunContext } from '../run/context.ts';
import { type Identities, type Recipients, recipientOf } from './age.ts';
import { type BackupRecord, backupId, orTold } from './catalog.ts';
import { type Destination, directoryDestination } from './destination.ts';
import { hostIdentity } from './keys.ts';
import type { BackupSource } from './make.ts';
import type { ObjectBucket } from './object-store.ts';
import {
  type BackupSettings,
  credentialRow,
  type DestinationSettings,
  readBackupSettings,
} from './settings.ts';

/** Where bundles are made and, unless said otherwise, kept. */
export function backupFolder(settings: Settings): string {
  return join(settings.mode === 'containers' ? settings.root : settings.dataDirectory, 'backups');
}

export function newBackupId(context: RunContext): string {
  return backupId(context.settings.project, context.clock.date(), randomBytes(3).toString('hex'));
}

/** Whom this installation encrypts its backups to. */
export async function recipientsOf(
  context: RunContext,
  { kit }: BackupSettings,
): Promise<{ recipients: Recipients; opens: BackupRecord['opens'] }> {
  const { passphrase } = context.backup;
  if (passphrase) return { recipients: { passphrase }, opens: ['passphrase'] };
  const own = await recipientOf(hostIdentity(await encryptionKey(context)));
  return kit
    ? { recipients: { keys: [kit.recipient, own] }, opens: ['recovery kit', 'this installation'] }
    : { recipients: { keys: [own] }, opens: ['this installation'] };
}

/** What opens backups here: the passphrase if one was given, otherwise the kit, if one was given, and this installation's own key. */
export async function identitiesOf(context: RunContext): Promise<Identities> {
  const { recovery, passphrase } = context.backup;
  if (passphrase) return { passphrase };
  const key = infrastructureSecret(context.settings, 'ENCRYPTION_KEY');
  return { keys: [...recovery, hostIdentity(key)] };
}

async function encryptionKey(context: RunContext): Promise<Secret> {
  return infrastructureSecret(context.settings, 'ENCRYPTION_KEY');
}

/** The destinations, first the folder in which bundles are made. */
export async function destinationsOf(context: RunContext): Promise<Destination[]> {
  const { destinations } = await readBackupSettings(context.configDatabase());
  return Promise.all(destinations.map((settings) => openDestination(context, settings)));
}

/**
 * Everywhere that backups are: first the folder in which they are made, then the other destinations. One that can't be opened, as
 * without its credential, is told to `unusable`; without it, it is thrown.
 */
export async function placesOf(
  context: RunContext,
  unusable?: (reason: OperatorError) => void,
): Promise<Destination[]> {
  const { destinations } = await readBackupSettings(context.configDatabase());
  const opened = await Promise.all(
    destinations.map((settings) => openDestination(context, settings).then((one) => [one], orTold(unusable))),
  );
  const local = localDestination(context);
  return [local, ...opened.flat().filter(({ address }) => address !== local.address)];
}

/** Names of the destinations that a backup is copied to. */
export async function copiesGoTo(context: RunContext): Promise<string[]> {
  const { destinations } = await readBackupSettings(context.configDatabase());
  const folder = backupFolder(context.settings);
  return destinations
    .filter((one) => one.type === 's3' || pathOf(context, one) !== folder)
    .map(({ name }) => name);
}

/** The folder on this host, whatever the destinations are. */
export function localDestination({ settings }: RunContext): Destination {
  return directoryDestination('local', backupFolder(settings));
}

export async function openDestination(
  context: RunContext,
  settings: DestinationSettings,
): Promise<Destination> {
  if (settings.type === 'directory') {
    return directoryDestination(settings.name, pathOf(context, settings));
  }
  const secretAccessKey = await storedCredential(context, credentialRow(settings.name));
  // The S3 client takes 50 ms to load, and `status` does not need it.
  const { s3Destination } = await import('./s3.ts');
  return s3Destination(settings.name, { ...settings, secretAccessKey }, settings.prefix);
}

/** A relative path begins at the installation. */
function pathOf({ settings }: RunContext, { path }: { path: string }): string {
  return isAbsolute(path) ? path : join(backupFolder(settings), '..', path);
}

/** A credential of `kg_api.system_api_keys`, opened. @throws OperatorError CREDENTIAL_MISSING */
export async function storedCredential(context: RunContext, row: string): Promise<Secret> {
  const db = context.configDatabase();
  const key = await resolveEncryptionKey(db, await encryptionKey(context));
  const stored = await db
    .selectFrom('kg_api.system_api_keys')
    .select('ciphertext')
    .where('provider', '=', row)
    .executeTakeFirst();
  if (stored) return new Secret(openCredential(key, row, stored.ciphertext));
  throw new OperatorError('CREDENTIAL_MISSING', `no credential is stored for ${row}`, {
    exitCode: EXIT.configuration,
    hint: row === 'garage' ? './operator.sh config garage' : './operator.sh backup destination add',
  });
}

/** The store of the documents. @throws OperatorError CONFIGURATION_MISSING */
export async function documentBucket(
  context: RunContext,
): Promise<{ bucket: ObjectBucket; settings: ObjectStoreSettings }> {
  const row = await context
    .configDatabase()
    .selectFrom('kg_api.platform_settings')
    .select('value')
    .where('key', '=', 'object_store')
    .executeTakeFirst();
  const settings = row?.value as ObjectStoreSettings | undefined;
  if (!settings) {
    throw new OperatorError('CONFIGURATION_MISSING', 'object storage is not configured yet', {
      exitCode: EXIT.configuration,
      hint: './operator.sh config garage',
    });
  }
  return { bucket: await openBucket(context, settings), settings };
}

export async function openBucket(context: RunContext, settings: ObjectStoreSettings): Promise<ObjectBucket> {
  const { fileBucket, s3Bucket } = await import('./object-store.ts');
  if (isFileStore(settings))
    return fileBucket(
      join(context.settings.dataDirectory, settings.endpoint.slice('file:'.length), settings.bucket),
    );
  const secretAccessKey = await storedCredential(context, 'garage');
  const { s3Client } = await import('./s3.ts');
  return s3Bucket(s3Client({ ...settings, secretAccessKey }), settings.bucket);
}

/** Bytes on the disk: of the whole database, and of its tables without indexes. */
export async function databaseSizes(
  context: RunContext,
): Promise<{ databaseBytes: number; tableBytes: number }> {
  const { rows } = await sql<{ database: string; tables: string }>`
    SELECT pg_catalog.pg_database_size(current_database()) AS database, coalesce(sum(pg_catalog.pg_table_size(c.oid)), 0) AS tables
    FROM pg_catalog.pg_class c WHERE c.relkind = 'r' AND c.relnamespace <> 'pg_catalog'::regnamespace`.execute(
    context.configDatabase(),
  );
  return { databaseBytes: Number(rows[0]?.database), tableBytes: Number(rows[0]?.tables) };
}

/** Everything a backup of this installation is made of. */
export async function backupSource(context: RunContext, id: string): Promise<BackupSource> {
  const { settings, engineVersion } = context;
  const observed = await context.observeDatabase();
  const { bucket, settings: store } = await documentBucket(context);
  const containers =
    settings.mode === 'containers' ? await context.runtime.listContainers(settings.project) : [];
  const key = await encryptionKey(context);
  const conf = join(settings.root, '.operator.conf');
  const files = [
    { name: 'secrets.env', text: await secretsText(settings, key) },
    ...(existsSync(conf) ? [{ name: 'operator.conf', text: await readFile(conf, 'utf8') }] : []),
  ];
  return {
    header: {
      formatVersion: 1,
      id,
      createdAt: context.clock.date().toISOString(),
      project: settings.project,
      engineVersion,
      mode: settings.mode,
      schemaHead: observed.reachable ? observed.schema.head : null,
      keyId: keyIdOf(key),
      ...(settings.mode === 'embedded'
        ? {}
        : { databaseBytes: (await databaseSizes(context)).databaseBytes }),
      images: Object.fromEntries(
        containers.map(({ service, image, imageId }) => [service, { image, digest: imageId }]),
      ),
    },
    connection: await context.databaseSettings(),
    db: context.configDatabase(),
    bucket,
    bucketSettings: isFileStore(store) ? null : await context.garage().bucketSettings(store.bucket),
    files,
  };
}

/** Layer 1 as it is in `.env`; the key that came by other means as well, since nothing in the backup opens without it. */
async function secretsText({ mode, root, dataDirectory }: Settings, key: Secret): Promise<string> {
  const own = join(dataDirectory, '.env');
  const path = {
    containers: join(root, '.env'),
    embedded: own,
    postgres: existsSync(own) ? own : join(root, '.env'),
  }[mode];
  const text = existsSync(path) ? await readFile(path, 'utf8') : '';
  if (parseEnvFile(text).values.get('ENCRYPTION_KEY') === key.reveal()) return text;
  const others = text.split('\n').filter((line) => line !== '' && !line.startsWith('ENCRYPTION_KEY='));
  return [...others, `ENCRYPTION_KEY=${key.reveal()}`, ''].join('\n');
}
