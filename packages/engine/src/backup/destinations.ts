import { type Actor, changeConfig, type Secret, type Tables } from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { setApiKeyIn } from '../config/api-key.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { changeBackupSettingsIn, credentialRow, type DestinationSettings } from './settings.ts';

/** Stores a destination, and with one of S3 its secret key, as one change that an undo takes back as a whole. */
export function addDestination(
  db: Kysely<Tables>,
  input: { destination: DestinationSettings; key: Secret | null; encryptionKey: Secret } & Actor,
): Promise<{ changed: boolean }> {
  const { destination, key, encryptionKey, actor } = input;
  const { name } = destination;
  return changeConfig(db, async (trx) => {
    const stored =
      key && (await setApiKeyIn(trx, { provider: credentialRow(name), key, encryptionKey, actor }));
    const { changed } = await changeBackupSettingsIn(trx, { actor }, 'destinations', (settings) => ({
      ...settings,
      destinations: [...settings.destinations.filter((other) => other.name !== name), destination],
    }));
    return { changed: changed || (stored?.changed ?? false) };
  });
}

/** Forgets a destination and its credential. @throws OperatorError DESTINATION_UNKNOWN */
export function removeDestination(
  db: Kysely<Tables>,
  { name, actor }: { name: string } & Actor,
): Promise<void> {
  return changeConfig(db, async (trx) => {
    await changeBackupSettingsIn(trx, { actor }, 'destinations', (settings) => {
      const destinations = settings.destinations.filter((other) => other.name !== name);
      if (name !== 'local' && destinations.length < settings.destinations.length)
        return { ...settings, destinations };
      throw name === 'local'
        ? new OperatorError('DESTINATION_UNKNOWN', 'local is the folder in which backups are made', {
            exitCode: EXIT.precondition,
            hint: 'to keep fewer there: ./operator.sh backup retention',
          })
        : new OperatorError('DESTINATION_UNKNOWN', `there is no destination ${name}`, {
            exitCode: EXIT.precondition,
            hint: 'see ./operator.sh backup destination list',
          });
    });
    await trx.deleteFrom('kg_api.system_api_keys').where('provider', '=', credentialRow(name)).execute();
  });
}
