import {
  finishRotation,
  keyIdOf,
  openEveryCredential,
  resolveEncryptionKey,
  rotateEncryptionKey,
  type Secret,
  type Tables,
} from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { ensureFingerprint } from '../config/fingerprint.ts';
import { changeConfig, recordChange } from '../config/history.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type Rotation, secretIn } from './rotation.ts';

const NAME = 'ENCRYPTION_KEY';

/** Every stored credential is sealed anew, in one transaction; who still has the old key comes over the bridge until the end. */
export const encryptionKeyRotation: Rotation = {
  async check({ db, encryptionKey }) {
    await ensureFingerprint(db, encryptionKey);
    await requireAllOpen(db, encryptionKey);
  },

  async renew({ db, actor }, { from, to }) {
    const [old, renewed] = [secretIn(from, NAME), secretIn(to, NAME)];
    await changeConfig(db, async (trx) => {
      const stored = await trx
        .selectFrom('kg_api.key_fingerprint')
        .select(['key_id', 'previous_key_id'])
        .executeTakeFirst();
      if (stored?.key_id === keyIdOf(renewed)) return;
      // A rotation whose .env.next was lost: its key is behind the bridge, which the new one replaces.
      const inForce = await resolveEncryptionKey(trx, old);
      if (stored?.previous_key_id) await finishRotation(trx);
      await rotateEncryptionKey(trx, inForce, renewed);
      await recordChange(
        trx,
        { actor },
        {
          topic: 'rotate',
          action: 'rotate',
          subject: 'encryption-key',
          before: { keyId: keyIdOf(inForce) },
          after: { keyId: keyIdOf(renewed) },
        },
      );
    });
    await requireAllOpen(db, renewed);
  },

  async retire({ db }, { to }) {
    const renewed = secretIn(to, NAME);
    await requireAllOpen(db, renewed);
    await changeConfig(db, finishRotation);
    await requireAllOpen(db, renewed);
  },
};

/** @throws OperatorError CREDENTIAL_UNREADABLE; WrongEncryptionKey */
async function requireAllOpen(db: Kysely<Tables>, key: Secret): Promise<void> {
  const closed = (await openEveryCredential(db, key)).filter(({ ok }) => !ok);
  if (closed.length === 0) return;
  throw new OperatorError(
    'CREDENTIAL_UNREADABLE',
    'stored credentials do not open, so they cannot be sealed anew',
    {
      exitCode: EXIT.configuration,
      details: closed.map(({ row, reason }) => `${row}: ${reason}`),
      hint: 'see ./operator.sh config validate: set each again, or delete it',
    },
  );
}
