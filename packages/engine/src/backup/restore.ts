import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ConnectionSettings,
  finishRotation,
  isFileStore,
  keyIdOf,
  type ObjectStoreSettings,
  openDatabase,
  recordChange,
  rotateEncryptionKey,
} from '@kg-operator/config';
import pg from 'pg';
import { commandActor } from '../config/actor.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { infrastructureSecret } from '../model/settings.ts';
import type { RunContext } from '../run/context.ts';
import { bringUpToDate } from './bring-up.ts';
import { openCredentials } from './credentials.ts';
import { documentBucket, openBucket } from './installation.ts';
import { removeLeftovers } from './leftovers.ts';
import { type BundleFile, type CheckedBundle, checkBundle, encryptionKeyOf, loadBundle } from './read.ts';
import { asAdministrator, databaseNames, serverAnswers } from './restore-names.ts';

/** The bundle to restore, checked: by the command's preflight, or now. */
export async function bundleToRestore({
  backup,
}: RunContext): Promise<{ file: BundleFile; checked: CheckedBundle }> {
  if (!backup.file) throw new Error('no bundle was chosen');
  backup.checked ??= await checkBundle(backup.file);
  return { file: backup.file, checked: backup.checked };
}

/**
 * Loads a bundle into a new database beside the live one, and its objects into a new bucket, compares both with the manifest, and makes
 * them this installation's: its encryption key, its object store. The live data is not touched.
 * @throws OperatorError BACKUP_NOT_RESTORABLE, BACKUP_DAMAGED; what was made is removed again
 */
export async function loadBeside(
  context: RunContext,
  { database, bucket }: { database: string; bucket: string | null },
  report: (line: string) => void,
): Promise<void> {
  const { file, checked } = await bundleToRestore(context);
  const live = await context.databaseSettings();
  await removeLeftovers(context);
  const { settings: store } = await documentBucket(context);
  const newStore = bucket ? { ...store, bucket } : store;
  const connection = { ...live, database };
  try {
    const bucketId = bucket ? await makeBucket(context, newStore) : null;
    await asAdministrator(live, (client) =>
      client.query(`CREATE DATABASE ${pg.escapeIdentifier(database)} TEMPLATE template0`),
    );
    const into = { database: { connection }, bucket: bucket ? await openBucket(context, newStore) : null };
    const onRoles = (roles: string[]) => {
      context.backup.createdRoles = roles;
    };
    const { signal, engineVersion } = context;
    const findings = await loadBundle(file, checked, into, { signal, engineVersion, report, onRoles });
    if (findings.length === 0) {
      await bringUpToDate(connection, checked, { engineVersion, report });
      findings.push(...(await openCredentials(connection, checked)));
    }
    if (findings.length > 0) throw notRestorable(checked.manifest.id, findings);
    const saved = checked.manifest.bucket;
    if (bucketId && saved) await context.garage().setBucket(bucketId, saved);
    await adopt(context, connection, checked, newStore);
  } catch (error) {
    // The next restore or backup removes it as well: what went wrong first is what a person must hear.
    await serverAnswers(live, context.signal)
      .then(() => removeLeftovers(context))
      .catch((left) => report(`not everything was removed: ${messageOf(left)}`));
    throw error;
  }
}

/** Returns its id; null where documents are files, and a folder is made when the first one comes. */
export async function makeBucket(context: RunContext, store: ObjectStoreSettings): Promise<string | null> {
  if (isFileStore(store)) return null;
  const garage = context.garage();
  const { id } = await garage.createBucket(store.bucket);
  await garage.allowKey(id, store.accessKeyId);
  return id;
}

/** What differs between the installation that was backed up and this one: key and object store. */
export async function adopt(
  context: RunContext,
  connection: ConnectionSettings,
  checked: CheckedBundle,
  store: ObjectStoreSettings,
): Promise<void> {
  const before = encryptionKeyOf(checked);
  const own = infrastructureSecret(context.settings, 'ENCRYPTION_KEY');
  const credential = await context
    .configDatabase()
    .selectFrom('kg_api.system_api_keys')
    .selectAll()
    .where('provider', '=', 'garage')
    .executeTakeFirst();
  const db = openDatabase(connection, { max: 1 });
  try {
    await db.transaction().execute(async (trx) => {
      if (before && keyIdOf(before) !== keyIdOf(own)) {
        await rotateEncryptionKey(trx, before, own);
        await finishRotation(trx);
      }
      const value = JSON.stringify(store);
      await trx
        .insertInto('kg_api.platform_settings')
        .values({ key: 'object_store', value })
        .onConflict((conflict) => conflict.column('key').doUpdateSet({ value, updated_at: new Date() }))
        .execute();
      if (credential) {
        const { created_at: _at, ...row } = credential;
        await trx
          .insertInto('kg_api.system_api_keys')
          .values(row)
          .onConflict((conflict) => conflict.column('provider').doUpdateSet(row))
          .execute();
      } else if (isFileStore(store)) {
        // Of a Garage that is not here.
        await trx.deleteFrom('kg_api.system_api_keys').where('provider', '=', 'garage').execute();
      }
      await recordChange(
        trx,
        { actor: commandActor() },
        {
          topic: 'backup',
          action: 'restore',
          subject: checked.manifest.id,
          before: null,
          after: { madeAt: checked.manifest.createdAt, objectStore: store.bucket },
        },
      );
    });
  } finally {
    await db.destroy();
  }
}

/**
 * Exchanges two databases in one transaction: `incoming` becomes the live one, which from then on is called `outgoing`. Whoever is
 * connected to either is disconnected. Again after it has happened, it changes nothing.
 * @throws OperatorError SWAP_REFUSED
 */
export async function swapDatabase(
  live: ConnectionSettings,
  { incoming, outgoing }: { incoming: string; outgoing: string },
): Promise<void> {
  await asAdministrator(live, async (client) => {
    for (let attempt = 1; ; attempt++) {
      const names = await databaseNames(client);
      if (!names.has(incoming) && names.has(live.database) && names.has(outgoing)) return;
      try {
        await client.query('BEGIN');
        await client.query(
          'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY($1) AND pid <> pg_backend_pid()',
          [[live.database, incoming]],
        );
        const rename = (from: string, to: string) =>
          client.query(`ALTER DATABASE ${pg.escapeIdentifier(from)} RENAME TO ${pg.escapeIdentifier(to)}`);
        await rename(live.database, outgoing);
        await rename(incoming, live.database);
        await client.query('COMMIT');
        return;
      } catch (error) {
        await client.query('ROLLBACK');
        // SQLSTATE 55006 object_in_use: somebody was quick to connect again.
        if ((error as { code?: string }).code !== '55006' || attempt === 5)
          throw swapRefused(live.database, error);
      }
      await sleep(500);
    }
  });
}

export function notRestorable(id: string, findings: string[]): OperatorError {
  return new OperatorError('BACKUP_NOT_RESTORABLE', `${id} was loaded, and differs from what was backed up`, {
    exitCode: EXIT.afterImpact,
    details: findings.slice(0, 20),
    hint: 'the live data was not touched: use another backup (./operator.sh backup list)',
  });
}

function swapRefused(database: string, cause: unknown): OperatorError {
  return new OperatorError('SWAP_REFUSED', `database ${database} stays in use and could not be exchanged`, {
    exitCode: EXIT.unhealthy,
    hint: 'nothing was changed: close what is connected (./operator.sh psql shows pg_stat_activity), then again',
    cause,
  });
}
