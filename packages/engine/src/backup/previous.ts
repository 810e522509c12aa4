import {
  type ConnectionSettings,
  isFileStore,
  type ObjectStoreSettings,
  openDatabase,
  openEveryCredential,
  WrongEncryptionKey,
} from '@kg-operator/config';
import { EXIT, OperatorError } from '../model/errors.ts';
import { infrastructureSecret } from '../model/settings.ts';
import type { RunContext } from '../run/context.ts';
import { allAtOnce } from './findings.ts';
import { documentBucket } from './installation.ts';
import { bucketsReferredTo, objectStoreIn } from './leftovers.ts';
import { dropDatabase } from './restore-names.ts';
import { removeBucket } from './scratch-bucket.ts';

/** Drops a database that a restore has put aside, and the bucket that only its rows refer to. */
export async function dropPrevious(context: RunContext, name: string): Promise<void> {
  const live = await context.databaseSettings();
  const { settings: current } = await documentBucket(context);
  const before = await objectStoreIn({ ...live, database: name });
  if (before) {
    const others = await bucketsReferredTo(context, name);
    if (others && !others.has(before.bucket)) await removeStore(context, before, current);
  }
  await dropDatabase(live, name);
}

/** Removes a bucket of Garage that nothing refers to any more. */
export async function removeStore(
  context: RunContext,
  before: ObjectStoreSettings,
  current: ObjectStoreSettings,
): Promise<void> {
  if (isFileStore(before) || isFileStore(current)) return;
  const found = await context.garage().findBucket(before.bucket);
  if (found) await removeBucket(context, current, { id: found.id, alias: before.bucket });
}

/**
 * Looks whether the platform could run on a database that was put aside: the keys may have been renewed since.
 * @throws OperatorError WRONG_ENCRYPTION_KEY, PREVIOUS_UNUSABLE
 */
export async function examinePrevious(context: RunContext, name: string): Promise<void> {
  await examineDatabase(context, name, { ...(await context.databaseSettings()), database: name });
}

/** The same of one that is reached in its own way. */
export async function examineDatabase(
  context: RunContext,
  name: string,
  connection: ConnectionSettings,
): Promise<void> {
  const findings: OperatorError[] = [];
  const store = await objectStoreIn(connection);
  const db = openDatabase(connection, { max: 1 });
  try {
    const key = infrastructureSecret(context.settings, 'ENCRYPTION_KEY');
    const bad = (await openEveryCredential(db, key)).filter(({ ok }) => !ok);
    for (const { row, reason } of bad)
      findings.push(unusable(`its credential ${row} does not open: ${reason}`));
  } catch (error) {
    if (!(error instanceof WrongEncryptionKey)) throw error;
    findings.push(
      new OperatorError(
        'WRONG_ENCRYPTION_KEY',
        `${name} is of ENCRYPTION_KEY ${error.storedKeyId}, the one in force is ${error.givenKeyId}`,
        {
          exitCode: EXIT.configuration,
          hint: 'the key was renewed since: restore a backup of that time instead, its credentials are sealed anew',
        },
      ),
    );
  } finally {
    await db.destroy();
  }
  if (store && !isFileStore(store)) {
    const garage = context.garage();
    if (!(await garage.findBucket(store.bucket)))
      findings.push(unusable(`its documents, bucket ${store.bucket}, are gone`));
    if (!(await garage.findKey(store.accessKeyId)))
      findings.push(unusable(`Garage no longer knows its key ${store.accessKeyId}`));
  }
  allAtOnce(findings);
}

function unusable(why: string): OperatorError {
  return new OperatorError('PREVIOUS_UNUSABLE', `the platform could not run on that database: ${why}`, {
    exitCode: EXIT.precondition,
    hint: 'restore a backup instead: ./operator.sh backup list',
  });
}
