import {
  credentialFingerprint,
  openCredential,
  PREVIOUS_SIGNING_KEY,
  type Secret,
  sealCredential,
  settingsOf,
  type Tables,
} from '@kg-operator/config';
import type { Kysely } from 'kysely';
import { keyInForce } from '../config/fingerprint.ts';
import { changeConfig, recordChange } from '../config/history.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { type Rotation, secretIn } from './rotation.ts';

const NAME = 'OAUTH_SIGNING_KEY';
// Longer than any token lives. From when on it need not be accepted is known at the end, when nobody signs with it any more.
const UNTIL_FINISHED_MS = 86_400_000;

/** The old signing key is kept, sealed, and accepted for as long as a token signed with it may live. */
export const oauthKeyRotation: Rotation = {
  async check({ db, confirm }) {
    const stored = await storedPrevious(db);
    if (!stored?.expires_at || stored.expires_at.getTime() <= Date.now()) return;
    await confirm(
      `The key before the last rotation is accepted until ${stored.expires_at.toISOString()}. Who logged in before that rotation must log in again. Go on?`,
    );
  },

  async renew({ db, encryptionKey, actor }, { from, to }) {
    const [old, renewed] = [secretIn(from, NAME), secretIn(to, NAME)];
    await changeConfig(db, async (trx) => {
      const key = await keyInForce(trx, encryptionKey);
      const expires_at = new Date(Date.now() + UNTIL_FINISHED_MS);
      const stored = await storedPrevious(trx);
      if (stored && openCredential(key, PREVIOUS_SIGNING_KEY, stored.ciphertext) === old.reveal()) {
        await trx
          .updateTable('kg_api.system_api_keys')
          .set({ expires_at })
          .where('provider', '=', PREVIOUS_SIGNING_KEY)
          .execute();
        return;
      }
      const { keyId, ciphertext } = sealCredential(key, PREVIOUS_SIGNING_KEY, old);
      const fingerprint = credentialFingerprint(key, old);
      const sealed = { key_id: keyId, ciphertext, fingerprint, expires_at, updated_at: new Date() };
      await trx
        .insertInto('kg_api.system_api_keys')
        .values({ provider: PREVIOUS_SIGNING_KEY, ...sealed })
        .onConflict((conflict) => conflict.column('provider').doUpdateSet(sealed))
        .execute();
      await recordChange(
        trx,
        { actor },
        {
          topic: 'rotate',
          action: 'rotate',
          subject: 'oauth-key',
          before: { fingerprint },
          after: { fingerprint: credentialFingerprint(key, renewed) },
        },
      );
    });
    await requireKept(db, encryptionKey, old);
  },

  async retire({ db, encryptionKey }, { from }) {
    await requireKept(db, encryptionKey, secretIn(from, NAME));
    await changeConfig(db, async (trx) => {
      const settings = settingsOf(
        await trx.selectFrom('kg_api.platform_settings').select(['key', 'value']).execute(),
      );
      const expires_at = new Date(Date.now() + settings['auth.token-lifetime'] * 1000);
      await trx
        .updateTable('kg_api.system_api_keys')
        .set({ expires_at })
        .where('provider', '=', PREVIOUS_SIGNING_KEY)
        .execute();
    });
  },
};

/** @throws OperatorError SIGNING_KEY_LOST; CredentialUnreadable */
async function requireKept(db: Kysely<Tables>, encryptionKey: Secret, old: Secret): Promise<void> {
  const kept = await db.transaction().execute(async (trx) => {
    const stored = await storedPrevious(trx);
    return (
      stored &&
      openCredential(await keyInForce(trx, encryptionKey), PREVIOUS_SIGNING_KEY, stored.ciphertext) ===
        old.reveal()
    );
  });
  if (kept) return;
  throw new OperatorError(
    'SIGNING_KEY_LOST',
    'the signing key before is not stored, so its tokens would be refused',
    {
      exitCode: EXIT.precondition,
      hint: 'was the database restored meanwhile? The new key is in force: remove .env.previous, and everybody logs in again',
    },
  );
}

async function storedPrevious(db: Kysely<Tables>) {
  return db
    .selectFrom('kg_api.system_api_keys')
    .select(['ciphertext', 'expires_at'])
    .where('provider', '=', PREVIOUS_SIGNING_KEY)
    .executeTakeFirst();
}
